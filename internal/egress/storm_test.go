package egress

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Many programs that do all that programs do, while the policy changes, and a proxy that is closed in the middle of it.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test", "a.sub.test", "denied.test")
	p := w.proxy(Config{Policy: allowTest, Limits: sandbox.Limits{Connections: 20, Network: -1}})
	door, dns := w.doors(p)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					rampage(door, dns)
				}
			}
		})
	}
	for i := range 40 {
		time.Sleep(10 * time.Millisecond)
		e := allowTest
		if i%2 == 0 {
			e = sandbox.Egress{Mode: sandbox.EgressDenyAll}
		}
		if err := p.SetPolicy(e); err != nil {
			t.Error(err)
		}
		if n := p.Traffic().Connections; n > 20 {
			t.Errorf("%d connections at a time", n)
		}
	}
	p.Close()
	close(stop)
	wg.Wait()
	u := p.Traffic()
	if u.Connections != 0 || u.Opened == 0 || u.Denied == 0 {
		t.Errorf("at the end: %+v", u)
	}
	t.Logf("%+v", u)
}

// rampage is one connection, of one kind or another.
func rampage(door, dns string) {
	network, to := "tcp", door
	kind := rand.IntN(8)
	if kind == 0 {
		network, to = "udp", dns
	}
	c, err := net.DialTimeout(network, to, time.Second)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	switch kind {
	case 0:
		c.Write(ask(typeA, "allowed", "test"))
		c.Read(make([]byte, 512))
	case 1: // says nothing
	case 2:
		io.WriteString(c, "CONNECT allowed.test:1 HTTP/1.1\r\n") // and no more
	case 3:
		io.WriteString(c, "CONNECT denied.test:1 HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, c)
	default:
		fmt.Fprintf(c, "CONNECT allowed.test:1 HTTP/1.1\r\n\r\n%s", make([]byte, rand.IntN(1<<18)))
		io.CopyN(io.Discard, c, int64(rand.IntN(1<<18)))
		if kind > 5 {
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
		}
	}
}

// Connections that are idle cost no buffer.
func TestIdleConnectionsAreSmall(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test")
	p := w.proxy(Config{Limits: sandbox.Limits{Connections: -1}})
	door, _ := w.doors(p)
	var before, after runtime.MemStats
	measure := func(m *runtime.MemStats) {
		runtime.GC()
		runtime.GC() // of pools the second one takes what the first one left
		runtime.ReadMemStats(m)
	}
	measure(&before)
	const n = 200
	for range n {
		c, r, status, text := w.tunnel(door, "allowed.test:1")
		if status != 200 {
			t.Fatal(status, text)
		}
		fmt.Fprintln(c, "x")
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	measure(&after)
	each := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) / n
	t.Logf("%d bytes each, those of the test's client and server included", each)
	if each > 64<<10 {
		t.Errorf("%d bytes each", each)
	}
}
