package actors

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/sandbox"
)

// Figures are those of all runtimes of a system: of now, and since they were made.
type Figures struct {
	Wait             *figures.Histogram // nanoseconds from when an action is asked for until the runtime gets it
	Waiting, Running atomic.Int64       // actions now

	statuses [10]atomic.Int64 // runtimes now, in the order of sandbox.Statuses: those that runtimes set

	mu     sync.Mutex
	phases map[phaseOf]*figures.Histogram
}

// phaseOf is a phase of the starts of a backend's runtimes.
type phaseOf struct{ backend, name string }

// NewFigures makes figures, for Config.
func NewFigures() *Figures {
	return &Figures{Wait: figures.NewHistogram(figures.Durations), phases: map[phaseOf]*figures.Histogram{}}
}

// Statuses tells how many runtimes that are driven here are in each status, also if it is none.
func (f *Figures) Statuses(tell func(s sandbox.Status, n int64)) {
	for i := range f.statuses {
		tell(sandbox.Statuses[i], f.statuses[i].Load())
	}
}

// Phases tells how long each phase of the starts took that came to their end, in nanoseconds.
func (f *Figures) Phases(tell func(backend, phase string, took *figures.Histogram)) {
	f.mu.Lock()
	all := maps.Clone(f.phases)
	f.mu.Unlock()
	for of, h := range all {
		tell(of.backend, of.name, h)
	}
}

func (f *Figures) started(backend string, phases []sandbox.Phase) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range phases {
		key := phaseOf{backend, p.Name}
		if f.phases[key] == nil {
			f.phases[key] = figures.NewHistogram(figures.Durations)
		}
		f.phases[key].Add(int64(p.Took))
	}
}

func (f *Figures) status(s sandbox.Status, by int64) {
	if i := slices.Index(sandbox.Statuses, s); i >= 0 && i < len(f.statuses) {
		f.statuses[i].Add(by)
	}
}

// counted is what the figures have of one steward.
type counted struct {
	status           sandbox.Status // "" is not yet counted
	waiting, running int
}

// count brings the figures up to what is.
func (s *steward) count(now counted) {
	was, f := s.counted, s.cfg.Figures
	if now == was {
		return
	}
	if now.status != was.status {
		f.status(was.status, -1)
		f.status(now.status, 1)
	}
	f.Waiting.Add(int64(now.waiting - was.waiting))
	f.Running.Add(int64(now.running - was.running))
	s.counted = now
}

// counts is what the figures should have of s.
func (s *steward) counts() counted {
	now := counted{status: s.now.Status, waiting: len(s.jobs)}
	if s.flying {
		now.waiting, now.running = now.waiting-1, 1
	}
	return now
}

// taken notes that the turn of j has come.
func (s *steward) taken(j *job) {
	j.wait.End()
	if !j.asking.IsZero() {
		s.cfg.Figures.Wait.Since(j.asking)
		j.asking = time.Time{} // what has to be done again does not count twice
	}
}
