package server

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A contact knows when somebody who may was last heard of, and tells when that is too long ago. Requests only note the
// time; one timer looks at it when it could be over.
type contact struct {
	after    time.Duration
	began    time.Time
	last     atomic.Int64 // of a request, nanoseconds since began
	orphaned chan struct{}

	mu    sync.Mutex
	held  map[net.Conn]int // connections whose answer is under way: their clients count as there while they are connected
	timer *time.Timer      // nil once stopped, or if orphans are kept
	late  bool             // the time is over, and a last while is waited
}

// lastWhile is what a server waits at most when its time is over.
const lastWhile = 5 * time.Second

func newContact(after time.Duration, keep bool) *contact {
	c := &contact{after: after, began: time.Now(), orphaned: make(chan struct{}), held: map[net.Conn]int{}}
	if !keep {
		c.mu.Lock()
		c.timer = time.AfterFunc(after, c.look)
		c.mu.Unlock()
	}
	return c
}

func (c *contact) note() { c.last.Store(int64(time.Since(c.began))) }

// hold counts conn's client as there until release, as long as it is connected.
func (c *contact) hold(conn net.Conn) {
	c.mu.Lock()
	c.held[conn]++
	c.mu.Unlock()
}

func (c *contact) release(conn net.Conn) {
	c.note()
	c.mu.Lock()
	if c.held[conn]--; c.held[conn] == 0 {
		delete(c.held, conn)
	}
	c.mu.Unlock()
}

// look is called when the time may be over.
func (c *contact) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return
	}
	for conn := range c.held {
		if connected(conn) {
			c.note()
			break
		}
	}
	if left := c.after - (time.Since(c.began) - time.Duration(c.last.Load())); left > 0 {
		c.late = false
		c.timer.Reset(left)
		return
	}
	// Whoever lets a process go on that was frozen for longer needs a while to say a word to it.
	if !c.late {
		c.late = true
		c.timer.Reset(min(c.after/4, lastWhile))
		return
	}
	c.timer = nil
	close(c.orphaned)
}

func (c *contact) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// connected says whether the other side has not hung up, without taking what it has sent. Connections that cannot tell
// count as connected.
func connected(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	there := true
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil && n == 0:
			there = false
		case err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
			there = false
		}
	})
	return there && err == nil
}
