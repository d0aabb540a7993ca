package server

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// conns knows the connections, so that a stop can end the idle ones at once and wait for answers under way. The
// library's own Shutdown looks ten times a second.
type conns struct {
	mu       sync.Mutex
	state    map[net.Conn]fasthttp.ConnState
	stopping bool
	changed  chan struct{} // has room for one
}

// stateGone is a hijacked connection whose handler was done before the library said that it was hijacked.
const stateGone fasthttp.ConnState = -1

func newConns() *conns {
	return &conns{state: map[net.Conn]fasthttp.ConnState{}, changed: make(chan struct{}, 1)}
}

// note is fasthttp's hook.
func (c *conns) note(conn net.Conn, s fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch was, known := c.state[conn]; {
	case s == fasthttp.StateClosed, s == fasthttp.StateHijacked && was == stateGone && known, s == stateGone && was == fasthttp.StateHijacked:
		delete(c.state, conn)
	default:
		c.state[conn] = s
		if c.stopping && (s == fasthttp.StateNew || s == fasthttp.StateIdle) {
			conn.Close()
		}
	}
	if c.stopping {
		wake(c.changed)
	}
}

// gone forgets a hijacked connection.
func (c *conns) gone(conn net.Conn) { c.note(conn, stateGone) }

// drain ends idle connections, lets the others finish their answers, and after grace ends those too. It returns when
// none is left or ctx ends.
func (c *conns) drain(ctx context.Context, grace time.Duration) error {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	c.close(fasthttp.StateNew, fasthttp.StateIdle)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for c.count() > 0 {
		select {
		case <-c.changed:
		case <-timer.C:
			c.close(fasthttp.StateActive, fasthttp.StateHijacked)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state)
}

func (c *conns) close(states ...fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, s := range c.state {
		if slices.Contains(states, s) {
			conn.Close()
		}
	}
}

// underlying is the connection that fasthttp's hook was told of.
func underlying(conn net.Conn) net.Conn {
	if h, ok := conn.(interface{ UnsafeConn() net.Conn }); ok {
		return h.UnsafeConn()
	}
	return conn
}
