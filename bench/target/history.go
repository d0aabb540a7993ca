package target

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// A history is what changed of a runtime's status since it was opened last.
type history struct {
	mu      sync.Mutex
	begun   time.Time
	changes []supervisor.StatusChange
	next    chan struct{} // closed by the next change
}

// watch begins a history, before the runtime is opened.
func (s *System) watch(id sandbox.ID) *history {
	h := &history{begun: time.Now(), next: make(chan struct{})}
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

// phases are the steps from the call to ready, each named by the status that it led to.
func (h *history) phases() []Phase {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Phase
	from := h.begun
	for _, c := range h.changes {
		all = append(all, Phase{Name: word(c.State.Status), Took: max(0, c.Time.Sub(from))})
		from = c.Time
		if c.State.Status == sandbox.StatusReady {
			break
		}
	}
	return all
}

// word is a status as people say it.
func word(s sandbox.Status) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(string(s), "STATUS$"), "_", " "))
}
