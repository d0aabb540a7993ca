package trace

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Steps notes what a start spent its time on. Safe for concurrent use.
type Steps struct {
	mu   sync.Mutex
	list []sandbox.Phase
}

// List is what was noted, in the order in which the steps ended. The caller may keep it.
func (s *Steps) List() []sandbox.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *Steps) add(p sandbox.Phase) {
	s.mu.Lock()
	s.list = append(s.list, p)
	s.mu.Unlock()
}

type stepsKey struct{}

// WithSteps gives a context whose steps are noted in s.
func WithSteps(ctx context.Context, s *Steps) context.Context {
	return context.WithValue(ctx, stepsKey{}, s)
}

// StepsOf is where the steps of ctx are noted; nil if nowhere.
func StepsOf(ctx context.Context) *Steps {
	s, _ := ctx.Value(stepsKey{}).(*Steps)
	return s
}

// Step begins a step of a start: it is noted in the steps of ctx, and is a span below that of ctx. What is done in it gets
// the context returned, and end is called with how it ended.
func Step(ctx context.Context, name string) (_ context.Context, end func(error)) {
	span, steps, begun := From(ctx).Start(name), StepsOf(ctx), time.Now()
	return With(ctx, span), func(err error) {
		span.Done(err)
		if steps != nil {
			steps.add(sandbox.Phase{Name: name, Begun: begun, Took: time.Since(begun)})
		}
	}
}
