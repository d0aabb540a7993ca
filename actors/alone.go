package actors

import (
	"context"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// alone is something to be done with the sandbox itself while no action runs. It waits its turn in the queue.
type alone struct {
	kit.Reply[struct{}]
	do func(ctx context.Context, s Sandbox) error
}

func (alone) stewardMsg() {}

// Alone calls f with the sandbox, when its turn has come, while no action runs: once, or not at all. ctx bounds the wait; that
// of f ends with the runtime. An error of f whose code is Unavailable or Lost is taken for the end of the sandbox. Additional
// codes: Exhausted (too many wait), Conflict (the sandbox failed while f was called: whether what it was to do is done, must be
// looked at).
func (s Steward) Alone(ctx context.Context, f func(ctx context.Context, s Sandbox) error) error {
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return alone{r, f} })
}

func (s *steward) alone(c *kit.Context[stewardMsg], m alone) {
	switch {
	case !s.up():
		m.Err(s.down())
	case s.full():
		m.Err(s.exhausted())
	default:
		s.jobs = append(s.jobs, &job{work: work{id: sandbox.NewActionID(), alone: m.do}, watchers: &audience{}, added: m.Reply})
		s.next(c)
	}
}

// isAction says whether w is an action, and not something else that waits with them.
func (w work) isAction() bool { return w.vars == nil && w.alone == nil }

// doAlone does what is no action, unless it may have been done already.
func (p performer) doAlone(ctx context.Context, w work) error {
	if w.begun {
		return failure(sandbox.Conflict, "runtime", p.id, "the sandbox failed while this was done, and has been started again: look whether it is done")
	}
	return w.alone(ctx, p.sandbox)
}
