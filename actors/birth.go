package actors

import (
	"context"
	"slices"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// A birth is one start of a runtime, from when it is wanted until it is ready: what it spends its time on. The zero birth
// is none.
type birth struct {
	span  *trace.Active
	steps *trace.Steps
}

// begin begins one, unless one is under way; below a span, if it is somebody's.
func (b *birth) begin(t *trace.Tracer, below *trace.Active) {
	if b.steps != nil {
		return
	}
	b.steps = &trace.Steps{}
	if b.span = below.Start(spanStart); below == nil {
		b.span = t.Root(spanStart)
	}
}

// end ends it; err is why it failed.
func (b *birth) end(err error) {
	b.span.Done(err)
	*b = birth{}
}

// context is for what is done in it.
func (b birth) context(ctx context.Context) context.Context {
	if b.steps == nil {
		return ctx
	}
	return trace.WithSteps(trace.With(ctx, b.span), b.steps)
}

func (b birth) phases() []sandbox.Phase {
	if b.steps == nil {
		return nil
	}
	return slices.Clip(b.steps.List())
}

// The names of spans.
const (
	spanStart   = "runtime.start" // with a span for each phase below
	spanWait    = "actor.wait"    // in the mailbox, and in the queue of the runtime
	spanPerform = "actor.perform"
	spanLog     = "journal.log"
)
