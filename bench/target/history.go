package target

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// A history is what changed of a runtime's status since it was opened last.
type history struct {
	mu      sync.Mutex
	changes []supervisor.StatusChange
	next    chan struct{} // closed by the next change
}

// watch begins a history, before the runtime is opened.
func (s *System) watch(id sandbox.ID) *history {
	h := &history{next: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[id] = h
	return h
}

// changed hears of every change of status.
func (s *System) changed(c supervisor.StatusChange) {
	s.mu.Lock()
	h := s.states[c.ID]
	s.mu.Unlock()
	if h == nil || c.Reported {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, c)
	close(h.next)
	h.next = make(chan struct{})
}

func (s *System) forget(id sandbox.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, id)
	delete(s.servers, id)
}

// await waits until the last change is such a one.
func (h *history) await(ctx context.Context, is func(supervisor.StatusChange) bool) error {
	for {
		h.mu.Lock()
		last, next := len(h.changes)-1, h.next
		there := last >= 0 && is(h.changes[last])
		h.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return &sandbox.Error{Code: sandbox.Canceled, Op: "await status", Err: context.Cause(ctx)}
		}
	}
}

// ready is when the runtime first was ready after a moment, which is waited for.
func (h *history) ready(ctx context.Context, after time.Time) (at time.Time, err error) {
	err = h.await(ctx, func(c supervisor.StatusChange) bool {
		return c.State.Status == sandbox.StatusReady && c.Time.After(after)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.changes {
		if c.State.Status == sandbox.StatusReady && c.Time.After(after) {
			return c.Time, err
		}
	}
	return at, err
}

// phases are the steps of the latest start that has ended since a moment; none if there was none.
func (h *history) phases(since time.Time) []Phase {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range slices.Backward(h.changes) {
		if c.State.Status == sandbox.StatusReady && c.Time.After(since) {
			return apart(c.State.Phases)
		}
	}
	return nil
}

// apart takes the parts of a phase out of it, so that phases add up. Parts stand before their whole.
func apart(all []sandbox.Phase) []Phase {
	var out []Phase
	parts := map[string]time.Duration{}
	for _, p := range all {
		took := p.Took - parts[p.Name]
		if whole, _, is := strings.Cut(p.Name, "."); is {
			parts[whole] += p.Took
		}
		out = append(out, Phase{Name: p.Name, Took: max(0, took)})
	}
	return out
}
