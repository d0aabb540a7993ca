package egress

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sandtree/sandtree/sandbox"
)

// What is told of a sandbox: per second, and at once after a pause. Of what was denied and of what was not separately, so
// that a flood of the one does not hide the other. One that does nothing else all day makes 200 MB of each.
const (
	toldPerSecond = 10
	toldAtOnce    = 500
	toldWaiting   = 256 // for the one who listens
)

// teller tells somebody what happens, as much as fits.
type teller struct {
	events        chan sandbox.Connection // nil if nobody listens
	denied, other *rate.Limiter
	untold        atomic.Int64
	closing       sync.Once
	wg            sync.WaitGroup
}

func newTeller(f func(sandbox.Connection)) *teller {
	t := &teller{denied: rate.NewLimiter(toldPerSecond, toldAtOnce), other: rate.NewLimiter(toldPerSecond, toldAtOnce)}
	if f != nil {
		t.events = make(chan sandbox.Connection, toldWaiting)
		t.wg.Go(func() {
			for c := range t.events {
				c.Untold = t.untold.Swap(0)
				f(c)
			}
		})
	}
	return t
}

// tell never waits.
func (t *teller) tell(c sandbox.Connection) {
	if t.events == nil {
		return
	}
	limiter := t.other
	if c.Kind == sandbox.ConnectionDenied {
		limiter = t.denied
	}
	if limiter.Allow() {
		c.Time = time.Now()
		select {
		case t.events <- c:
			return
		default:
		}
	}
	t.untold.Add(1)
}

// close returns when all has been told. Nobody tells any more by then.
func (t *teller) close() {
	t.closing.Do(func() {
		if t.events != nil {
			close(t.events)
		}
	})
	t.wg.Wait()
}
