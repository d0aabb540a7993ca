package server

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// conns knows the connections, so that a stop can end the idle ones at once and wait for answers under way. The
// library's own Shutdown looks ten times a second.
type conns struct {
	busy atomic.Int32 // how many are not idle

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
	was, known := c.state[conn]
	if known && !idling(was) {
		c.busy.Add(-1)
	}
	switch {
	case s == fasthttp.StateClosed, s == fasthttp.StateHijacked && was == stateGone && known, s == stateGone && was == fasthttp.StateHijacked:
		delete(c.state, conn)
	default:
		if !idling(s) {
			c.busy.Add(1)
		}
		c.state[conn] = s
		if c.stopping && idling(s) {
			conn.Close()
		}
	}
	if c.stopping {
		wake(c.changed)
	}
}

// idling says whether a connection of that state waits for a request.
func idling(s fasthttp.ConnState) bool { return s == fasthttp.StateNew || s == fasthttp.StateIdle }

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

// A lasting listener waits while the system has no room for another connection. The library would end the server, which
// anybody who can connect could then do by connecting often.
type lasting struct{ net.Listener }

// crowded is how long it waits before it looks again: nothing tells that there is room.
const crowded = 50 * time.Millisecond

func (l lasting) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.ENOMEM) {
			return conn, err
		}
		time.Sleep(crowded)
	}
}
