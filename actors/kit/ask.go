package kit

import "context"

// Reply is where a question is answered: a message that asks embeds it, so that kit can answer for an actor that fails
// over the message. The first answer counts. The zero Reply takes answers for nobody.
type Reply[R any] struct{ ch chan answer[R] }

type answer[R any] struct {
	value R
	err   error
}

// OK answers. It never waits.
func (r Reply[R]) OK(v R) { r.give(answer[R]{value: v}) }

// Err answers that there is no answer.
func (r Reply[R]) Err(err error) { r.give(answer[R]{err: err}) }

func (r Reply[R]) give(a answer[R]) {
	select {
	case r.ch <- a: // there is room for one
	default:
	}
}

// Ask sends the message that ask makes around a Reply and waits for the answer. ctx bounds the wait, not the work.
// Codes: Canceled (ctx ended), Unavailable (the actor ended before it answered; or the code of what it ended of), and
// whatever the actor answers.
func Ask[M, R any](ctx context.Context, to Ref[M], ask func(Reply[R]) M) (R, error) {
	var none R
	if to.link == nil {
		return none, gone("nobody", nil)
	}
	r := Reply[R]{make(chan answer[R], 1)}
	to.Tell(ask(r))
	select {
	case a := <-r.ch:
		return a.value, a.err
	case <-ctx.Done():
		return none, canceled(ctx, to.link.path)
	case <-to.link.done:
	}
	select {
	case a := <-r.ch: // it was answered on the way out
		return a.value, a.err
	default:
		return none, gone(to.link.path, to.link.err)
	}
}

// refuse answers a message that its actor failed over, if it asks.
func refuse(m any, err error) {
	if r, ok := m.(interface{ Err(error) }); ok {
		r.Err(err)
	}
}
