package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Retry says how failures that may pass are met: by trying again after a pause, drawn at random between nothing and a
// bound that doubles each time ("full jitter", so that many clients of one server do not come back at once). A pause
// that would outlast the caller's deadline is not begun: the failure is returned instead.
type Retry struct {
	Base     time.Duration // bound of the first pause; 0 means 5 ms
	Cap      time.Duration // bound of any; 0 means 1 s
	Patience time.Duration // from the first failure in a row to the last try; 0 means 10 s, negative no second try
}

const (
	defaultBase     = 5 * time.Millisecond // a server that restarts is back in about ten
	defaultCap      = time.Second
	defaultPatience = 10 * time.Second       // longer, and whoever supervises the sandbox should know
	exhaustedBase   = 100 * time.Millisecond // where a queue is full, coming back at once only fills it
)

func (r Retry) withDefaults() Retry {
	if r.Base == 0 {
		r.Base = defaultBase
	}
	if r.Cap == 0 {
		r.Cap = max(defaultCap, r.Base)
	}
	if r.Patience == 0 {
		r.Patience = defaultPatience
	}
	return r
}

// failure is how one try ended.
type failure struct {
	code     sandbox.Code
	err      error
	answered bool // the server said so itself, in an answer that follows the protocol
	final    bool // trying again cannot help, whatever the code
	refused  bool // by the breaker
	again    bool // ask again, in the version that is spoken now
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func (f *failure) passes() bool {
	return !f.final && (f.code == sandbox.Unavailable || f.code == sandbox.Lost || f.code == sandbox.Exhausted)
}

// error makes the error that the caller sees.
func (c *Client) error(op string, f *failure) error {
	return &sandbox.Error{Code: f.code, Op: "transport." + op, ID: c.config.ID, Err: f.err}
}

// countsAgainst tells the breaker which errors say that the server is in trouble. An answer that the request was wrong
// says the opposite.
func countsAgainst(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return !ok || f.code == sandbox.Unavailable || f.code == sandbox.Lost || f.code == sandbox.Internal && f.answered
}

// saysNothing tells it which errors come from this side: the caller went away, its reader failed.
func saysNothing(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && (f.code == sandbox.Canceled || f.code == sandbox.Internal && !f.answered || errors.Is(f.err, errClosed))
}

// tries counts the tries of one call.
type tries struct {
	failures int       // in a row
	since    time.Time // of the first of them
	forms    int       // asked again in another version
}

// progress ends a row of failures.
func (t *tries) progress() { *t = tries{} }

// pause waits for the time of the next try. If there is to be none it returns the failure to report: f, or that the
// caller's context ended meanwhile.
func (c *Client) pause(ctx context.Context, t *tries, f *failure) *failure {
	if f.again && t.forms < maxForms && ctx.Err() == nil {
		t.forms++
		return nil
	}
	if t.failures++; t.failures == 1 {
		t.since = time.Now()
		if f.refused {
			return f // the breaker's very purpose is that nobody waits
		}
	}
	if !f.passes() {
		return f
	}
	wait := c.config.Retry.pause(t.failures, f.code)
	if f.refused {
		wait = max(wait, time.Until(c.breaker.Next()))
	}
	next := time.Now().Add(wait)
	if next.Sub(t.since) > c.config.Retry.Patience {
		return f
	}
	if deadline, ok := ctx.Deadline(); ok && next.After(deadline) {
		return f
	}
	count(&c.counts.retries, &c.config.Figures.Retries)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return canceled(ctx, f)
	case <-c.life.Done():
		return f
	}
}

// pause draws the pause after the nth failure in a row.
func (r Retry) pause(n int, code sandbox.Code) time.Duration {
	base := r.Base
	if code == sandbox.Exhausted {
		base = min(max(base, exhaustedBase), r.Cap)
	}
	bound := r.Cap
	if shift := n - 1; shift < 30 && base<<shift < r.Cap {
		bound = base << shift
	}
	return rand.N(bound + 1)
}

// canceled is the failure of a caller that waits no longer; last, if not nil, is what it waited to see pass.
func canceled(ctx context.Context, last *failure) *failure {
	err := context.Cause(ctx)
	if last != nil {
		err = fmt.Errorf("%w, after: %w", err, last.err)
	}
	return &failure{code: sandbox.Canceled, err: err}
}
