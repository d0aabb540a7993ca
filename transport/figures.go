package transport

import (
	"sync"
	"sync/atomic"

	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/transport/breaker"
)

// Figures are what clients have done, those that share them together, and how they are now.
type Figures struct {
	Actions *figures.Histogram // nanoseconds from the call of Do or Settle to its end, all tries included
	Ended   figures.Outcomes   // how those ended

	Requests, Retries, Resumes, Dials atomic.Uint64 // as of Stats
	Trips                             atomic.Uint64 // of breakers: changes to open

	breakers [3]atomic.Int64 // clients by the state of their breaker
}

// NewFigures makes figures, for Config.
func NewFigures() *Figures {
	return &Figures{Actions: figures.NewHistogram(figures.Durations)}
}

// Breakers is how many clients there are whose breaker is in that state, as far as was seen.
func (f *Figures) Breakers(s breaker.State) int64 { return f.breakers[s].Load() }

// count counts for the client and for all that share its figures.
func count(own, shared *atomic.Uint64) {
	own.Add(1)
	shared.Add(1)
}

// counted is where a client's breaker is counted.
type counted struct {
	mu     sync.Mutex
	state  breaker.State
	closed bool // with the client: it is counted nowhere
}

// moved counts the breaker where it is now, and calls next.
func (c *Client) moved(next func(from, to breaker.State)) func(from, to breaker.State) {
	return func(from, to breaker.State) {
		f := c.config.Figures
		c.counted.mu.Lock()
		if !c.counted.closed {
			f.breakers[c.counted.state].Add(-1)
			f.breakers[to].Add(1)
			c.counted.state = to
		}
		c.counted.mu.Unlock()
		if to == breaker.Open {
			f.Trips.Add(1)
		}
		if next != nil {
			next(from, to)
		}
	}
}

// uncount counts the breaker no longer.
func (c *Client) uncount() {
	c.counted.mu.Lock()
	defer c.counted.mu.Unlock()
	if !c.counted.closed {
		c.counted.closed = true
		c.config.Figures.breakers[c.counted.state].Add(-1)
	}
}
