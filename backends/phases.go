package backends

import (
	"context"
	"slices"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// Phases are the steps that the start of the sandbox, or the attaching to it, has gone through, with their times.
func (s *Sandbox) Phases() []sandbox.Phase { return slices.Clone(s.phases) }

// noted sees to it that the steps of a start are noted, by the caller or here. phases gives those since.
func noted(ctx context.Context) (_ context.Context, phases func() []sandbox.Phase) {
	steps := trace.StepsOf(ctx)
	if steps == nil {
		steps = &trace.Steps{}
		ctx = trace.WithSteps(ctx, steps)
	}
	before := len(steps.List())
	return ctx, func() []sandbox.Phase { return steps.List()[before:] }
}

// absent is err but for what says that there is no such sandbox, which is no failure of looking for it.
func absent(err error) error {
	if sandbox.CodeOf(err) == sandbox.NotFound {
		return nil
	}
	return err
}
