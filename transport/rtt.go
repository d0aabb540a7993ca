package transport

import (
	"sync"
	"time"
)

// roundTrips estimates how long an answer may take from how long answers took, as TCP does (RFC 6298): a smoothed mean
// plus four times the smoothed deviation, doubled for each answer that did not come.
type roundTrips struct {
	first, min, max time.Duration // first: the timeout as long as nothing is known

	mu        sync.Mutex
	mean      time.Duration // 0 before the first
	deviation time.Duration
	missed    int // in a row
}

// took records an answer. An answer to something asked twice must not be recorded: it may belong to either.
func (r *roundTrips) took(d time.Duration) {
	d = max(d, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed = 0
	if r.mean == 0 {
		r.mean, r.deviation = d, d/2
		return
	}
	r.deviation += ((r.mean - d).Abs() - r.deviation) / 4
	r.mean += (d - r.mean) / 8
}

// miss records that no answer came in time.
func (r *roundTrips) miss() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
}

// timeout is how long to wait.
func (r *roundTrips) timeout() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.first
	if r.mean > 0 {
		d = max(r.mean+4*r.deviation, r.min)
	}
	for range r.missed {
		if d *= 2; d >= r.max {
			break
		}
	}
	return min(d, r.max)
}

func (r *roundTrips) smoothed() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mean
}
