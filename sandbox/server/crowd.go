package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// A crowd knows whether several actions are performed at a time, and tells when that begins and when it has been over for
// a while.
type crowd struct {
	tell func(bool) // nil: nobody wants to know
	many atomic.Bool
	seen atomic.Bool // since the timer was set

	mu    sync.Mutex
	timer *time.Timer
}

const (
	// crowding is how many actions are a crowd: what one agent does at a time is less.
	crowding = 4
	// dispersed is how long it must not have been seen to be over.
	dispersed = time.Second
)

// note is told, when an action begins, how many are performed.
func (c *crowd) note(running int64) {
	if c.tell == nil || running < crowding {
		return
	}
	c.seen.Store(true)
	if c.many.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.many.Load() {
		return
	}
	c.many.Store(true)
	c.tell(true)
	c.timer = time.AfterFunc(dispersed, c.look)
}

func (c *crowd) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen.Swap(false) {
		c.timer.Reset(dispersed)
		return
	}
	c.many.Store(false)
	c.tell(false)
}

// others is how much the server does besides one action or request.
func (s *Server) others() int {
	return max(int(s.conns.busy.Load()), int(s.figures.running.Load()), 1) - 1
}
