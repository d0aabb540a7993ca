package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// public is an address that anybody may connect to; here it is a server of the test.
var public = netip.MustParseAddr("93.184.216.34")

// world is what is outside of the sandbox: names, and where their servers are.
type world struct {
	t  testing.TB
	mu sync.Mutex
	// zone has the addresses of names.
	zone map[string][]netip.Addr
	// servers are where connections to an address end; others do not answer.
	servers map[netip.Addr]string
	dialled []netip.AddrPort
	heard   []sandbox.Connection
	news    chan struct{} // has room for one
}

func newWorld(t testing.TB) *world {
	leak.Check(t)
	return &world{t: t, zone: map[string][]netip.Addr{}, servers: map[netip.Addr]string{}, news: make(chan struct{}, 1)}
}

// server makes names resolve to public, where serve answers.
func (w *world) server(serve func(net.Conn), names ...string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	w.t.Cleanup(func() { l.Close(); wg.Wait() })
	for _, n := range names {
		w.zone[n] = []netip.Addr{public}
	}
	w.servers[public] = l.Addr().String()
}

func (w *world) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	if a := w.zone[name]; a != nil {
		return a, nil
	}
	return nil, errors.New("no such name")
}

func (w *world) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, to)
	w.mu.Unlock()
	if s := w.servers[to.Addr()]; s != "" {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s)
	}
	return nil, errors.New("nobody answers")
}

func (w *world) hear(c sandbox.Connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, c)
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// wait returns the first thing heard that is like like: of its kind, with its name, address and cause where it has them.
func (w *world) wait(like sandbox.Connection) sandbox.Connection {
	w.t.Helper()
	timeout := time.After(time.Minute)
	for {
		w.mu.Lock()
		i := slices.IndexFunc(w.heard, func(c sandbox.Connection) bool {
			return c.Kind == like.Kind && (like.Name == "" || c.Name == like.Name) && (like.Why == "" || c.Why == like.Why) &&
				(!like.Addr.IsValid() || c.Addr == like.Addr && c.Port == like.Port)
		})
		var c sandbox.Connection
		if i >= 0 {
			c = w.heard[i]
		}
		heard := fmt.Sprintf("%+v", w.heard)
		w.mu.Unlock()
		if i >= 0 {
			return c
		}
		select {
		case <-w.news:
		case <-timeout:
			w.t.Fatalf("nothing was heard like %+v, but %s", like, heard)
		}
	}
}

// proxy opens a proxy of the world.
func (w *world) proxy(c Config) *Proxy {
	w.t.Helper()
	c.Resolve, c.Dial = w.resolve, w.dial
	if c.OnConnection == nil {
		c.OnConnection = w.hear
	}
	p, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		for range 2 {
			if err := p.Close(); err != nil {
				w.t.Error(err)
			}
		}
	})
	return p
}

// doors opens the first and the third door of p on this machine and returns their addresses.
func (w *world) doors(p *Proxy) (connect, dns string) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.Serve(Doors{Connect: l, DNS: d}); err != nil {
		w.t.Fatal(err)
	}
	return l.Addr().String(), d.LocalAddr().String()
}

// tunnel asks for a tunnel and returns it with the status of the answer.
func (w *world) tunnel(door, to string) (net.Conn, *bufio.Reader, int, string) {
	w.t.Helper()
	c, err := net.Dial("tcp", door)
	if err != nil { // reset before connect returned
		return nil, nil, 0, err.Error()
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: allowed.test\r\n\r\n", to)
	r := bufio.NewReader(c)
	a, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return c, r, 0, err.Error()
	}
	text := ""
	if a.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(a.Body)
		text = string(b)
	}
	return c, r, a.StatusCode, text
}

// echo sends back what it gets.
func echo(c net.Conn) { io.Copy(c, c) }
