package audit

import (
	"context"
	"sync"
	"time"
)

// What all looks of one driver may take together, however many sandboxes it has and whatever is in them.
const (
	maxHeld = 128 << 20              // bytes of what is remembered: 16 of the largest trees, or 800 sandboxes of a thousand files
	share   = 10                     // of so many parts of a processor's time they work one
	ahead   = 100 * time.Millisecond // of work that may come at once, after a pause
	piece   = 2 * time.Millisecond   // of work, after which another look has a turn
)

// Looks are the looks at files of all sandboxes of a driver. Programs decide what there is to look at and how often, and the work is
// done outside of what bounds them: so the looks take turns, with pauses, and one bound holds for all that is remembered.
type Looks struct {
	most int64         // bytes
	turn chan struct{} // has room for the one look that works

	mu   sync.Mutex
	held int64         // bytes of all trees
	debt time.Duration // of work, that no pause has been made for
	at   time.Time     // when that was so
}

// NewLooks gives those of one driver.
func NewLooks() *Looks { return newLooks(maxHeld) }

func newLooks(most int64) *Looks { return &Looks{most: most, turn: make(chan struct{}, 1)} }

// begin waits for a turn.
func (l *Looks) begin(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t := time.NewTimer(l.pause())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		<-l.turn
		return context.Cause(ctx)
	}
}

// pause is how long nobody works now.
func (l *Looks) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.debt = max(0, l.debt-now.Sub(l.at)/share)
	l.at = now
	return max(0, l.debt-ahead) * share
}

// end ends a turn that took so long.
func (l *Looks) end(took time.Duration) {
	l.mu.Lock()
	l.debt += took
	l.mu.Unlock()
	<-l.turn
}

// take counts n bytes more of a tree that has some already. No tree gets more than a quarter of what it and nobody else has, so that
// one sandbox leaves something to the others.
func (l *Looks) take(has, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if free := l.most - l.held; n > free || has+n > (free+has)/4 {
		return false
	}
	l.held += n
	return true
}

func (l *Looks) free(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= n
}
