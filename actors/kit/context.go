package kit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A Context is what one incarnation of an actor works with. Only Self and Context may be called from elsewhere than the
// actor's own methods.
type Context[M any] struct {
	cell *cell[M]
	gen  uint64
	life context.Context
}

// Self is the actor's own Ref.
func (c *Context[M]) Self() Ref[M] { return Ref[M]{c.cell.link} }

// Context ends with this incarnation.
func (c *Context[M]) Context() context.Context { return c.life }

// Task runs f beside the actor and delivers what it returns as a message. If the actor has been restarted or has ended
// by then, nobody hears of it. f must return soon after its context has ended, since the end of the actor waits for it
// (for Config.Grace). A panic in f is a failure of the actor. After Stopped, Task does nothing.
func (c *Context[M]) Task(f func(context.Context) M) {
	if !c.alive() {
		return
	}
	c.cell.tasks++
	c.cell.link.sys.work(func() {
		l := &letter[M]{gen: c.gen, task: true}
		defer c.cell.link.post(l)
		defer recovered(&l.err)
		l.m = f(c.life)
	})
}

// After delivers m when d has passed, to this incarnation only. stop keeps m from coming, unless it is on its way.
func (c *Context[M]) After(d time.Duration, m M) (stop func()) {
	t := time.AfterFunc(d, func() {
		if c.life.Err() == nil {
			c.cell.link.post(&letter[M]{m: m, gen: c.gen})
		}
	})
	return func() { t.Stop() }
}

// StopChild tells a child to end for good. Nothing if there is none of that name.
func (c *Context[M]) StopChild(name string) {
	if k := c.cell.kid(name); k != nil {
		k.state = ending
		k.link.halt()
	}
}

func (c *Context[M]) alive() bool { return c.cell.phase == isUp && c.cell.gen == c.gen }

// SpawnChild starts a child under the actor whose context c is. make is called for each incarnation of the child; it has
// no effects. Codes: Conflict (a child of that name has not ended), Invalid (the name), Unavailable (the actor is ending).
func SpawnChild[M, C any](c *Context[M], name string, kind Kind, make func() Actor[C]) (Ref[C], error) {
	fail := func(code sandbox.Code, err error) (Ref[C], error) {
		return Ref[C]{}, &sandbox.Error{Code: code, Op: "spawn", Err: fmt.Errorf("%s/%s: %w", c.cell.link.path, name, err)}
	}
	switch {
	case !c.alive():
		return fail(sandbox.Unavailable, errors.New("the actor is ending"))
	case sandbox.ID(name).Check() != nil:
		return fail(sandbox.Invalid, sandbox.ID(name).Check())
	case c.cell.kid(name) != nil:
		return fail(sandbox.Conflict, errors.New("there is one of that name"))
	}
	l, err := spawn(c.cell.link.sys, c.cell.lib, c.cell.link, name, make)
	if err != nil {
		return fail(sandbox.Internal, err)
	}
	c.cell.kids = append(c.cell.kids, &kid{link: l, kind: kind, state: starting})
	return Ref[C]{l}, nil
}
