// Package pipenet is a network inside one process: HTTP over net.Pipe, whose reads, writes and deadlines a synctest
// bubble sees, so that stalls, back-off and heartbeats of minutes are tested in no time.
//
//	pipenet.Test(t, func(t *testing.T) {
//		n := pipenet.Serve(t, &fasthttp.Server{Handler: h})
//		client, err := transport.New(n.Dial, transport.Config{})
//		…
//	})
//
// A pipe has no buffer: a Write lasts until the other side has read it all. What deadlocks here for that reason would
// deadlock on a socket with enough bytes.
package pipenet

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

// Net is a listener and the dialer that reaches it. Safe for concurrent use.
type Net struct {
	accept chan net.Conn
	done   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]struct{} // the server's ends of those in use
	open  bool
	free  time.Time // until when Dial waits
}

// Listen makes a network with one listener.
func Listen() *Net {
	return &Net{
		accept: make(chan net.Conn),
		done:   make(chan struct{}),
		conns:  map[net.Conn]struct{}{},
		open:   true,
	}
}

// Dial connects to the listener. It waits for Accept, and fails as a socket does: connection refused once the listener
// is closed.
func (n *Net) Dial(ctx context.Context) (net.Conn, error) {
	if err := n.wait(ctx); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	c := &conn{Conn: server, net: n}
	if !n.add(c) {
		return nil, refused()
	}
	select {
	case n.accept <- c:
		return client, nil
	case <-n.done:
		c.Close()
		return nil, refused()
	case <-ctx.Done():
		c.Close()
		return nil, late(ctx)
	}
}

// Hold makes Dial wait for d from now, as a slow network would.
func (n *Net) Hold(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.free = time.Now().Add(d)
}

func (n *Net) wait(ctx context.Context) error {
	n.mu.Lock()
	d := time.Until(n.free)
	n.mu.Unlock()
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-n.done:
		return refused()
	case <-ctx.Done():
		return late(ctx)
	}
}

func late(ctx context.Context) error {
	return &net.OpError{Op: "dial", Net: "pipe", Addr: addr{}, Err: ctx.Err()}
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "pipe", Addr: addr{}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// Accept implements net.Listener.
func (n *Net) Accept() (net.Conn, error) {
	select {
	case c := <-n.accept:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

// Close closes the listener; connections live on. Idempotent.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open {
		n.open = false
		close(n.done)
	}
	return nil
}

// Addr implements net.Listener.
func (n *Net) Addr() net.Addr { return addr{} }

// Cut closes every connection, as the death of the server would; the listener lives on. It returns how many there were.
func (n *Net) Cut() int {
	n.mu.Lock()
	conns := n.conns
	n.conns = map[net.Conn]struct{}{}
	n.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	return len(conns)
}

// Conns is how many connections the server has not closed.
func (n *Net) Conns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

func (n *Net) add(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open {
		n.conns[c] = struct{}{}
	}
	return n.open
}

func (n *Net) remove(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// conn is the server's end of a connection.
type conn struct {
	net.Conn
	net *Net
}

func (c *conn) Close() error {
	c.net.remove(c)
	return c.Conn.Close()
}

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }

// Serve lets s serve a fresh Net until t ends.
func Serve(t testing.TB, s *fasthttp.Server) *Net {
	n := Listen()
	served := make(chan error, 1)
	go func() { served <- s.Serve(n) }()
	t.Cleanup(func() {
		n.Close()
		n.Cut()
		if err := <-served; err != nil && err != net.ErrClosed {
			t.Errorf("serve: %v", err)
		}
	})
	return n
}

// Test runs f in a synctest bubble in which fasthttp may serve. It keeps fasthttp's clock, which never ends, out of the
// bubble, and at the end passes the (virtual) time after which fasthttp's worker pools see that their server has stopped.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	var h fasthttp.ResponseHeader
	h.AppendBytes(nil) // writes a Date, which starts the clock
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(workerLinger) }) // first, so that it comes after f's own
		f(t)
	})
}

// workerLinger is twice fasthttp's default for MaxIdleWorkerDuration, at which its pools look whether to end.
const workerLinger = 20 * time.Second
