package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

func TestPolicyChanges(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test", "a.sub.test")
	p := w.proxy(Config{Policy: allowTest})
	door, _ := w.doors(p)
	stays, r, _, _ := w.tunnel(door, "a.sub.test:1")
	goes, gone, _, _ := w.tunnel(door, "allowed.test:1")
	fmt.Fprintln(goes, "1")
	if line, _ := gone.ReadString('\n'); line != "1\n" {
		t.Fatalf("%q", line)
	}
	if err := p.SetPolicy(sandbox.Egress{Mode: "x"}); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Errorf("a policy that is none: %v", err)
	}
	next := allowTest
	next.Domains = []string{"*.sub.test"}
	if err := p.SetPolicy(next); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.ReadByte(); err == nil || err == io.EOF {
		t.Errorf("a connection that is no longer allowed: %v, want a reset", err)
	}
	fmt.Fprintln(stays, "2")
	if line, err := r.ReadString('\n'); line != "2\n" {
		t.Errorf("one that is: %q, %v", line, err)
	}
	if _, _, status, _ := w.tunnel(door, "allowed.test:1"); status != 403 {
		t.Errorf("again: %d", status)
	}
	if c := w.wait(sandbox.Connection{Kind: sandbox.ConnectionCut}); c.Name != "allowed.test" || c.Why != sandbox.CauseName || c.Sent != 2 {
		t.Errorf("told %+v", c)
	}
	if err := p.SetPolicy(sandbox.Egress{}); err != nil {
		t.Fatal(err)
	}
	if _, _, status, _ := w.tunnel(door, "allowed.test:1"); status != 200 {
		t.Errorf("allowed again: %d", status)
	}
	if err := p.SetPolicy(sandbox.Egress{Mode: sandbox.EgressDenyAll}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("nothing is allowed, and a connection lives")
	}
}

// A policy that changes while a connection is being made decides about it.
func TestPolicyChangesInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test")
	w.zone["private.test"] = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	w.servers[netip.MustParseAddr("10.0.0.1")] = w.servers[public]
	var p *Proxy
	next := make(chan sandbox.Egress, 1)
	p, err := New(Config{
		Policy: sandbox.Egress{CIDRs: []string{"10.0.0.0/8"}}, Resolve: w.resolve,
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			c, err := w.dial(ctx, to)
			select {
			case e := <-next:
				if err := p.SetPolicy(e); err != nil {
					t.Error(err)
				}
			default:
			}
			return c, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	door, _ := w.doors(p)
	if _, _, status, text := w.tunnel(door, "private.test:1"); status != 200 {
		t.Errorf("what is open: %d %s", status, text)
	}
	next <- sandbox.Egress{}
	if _, _, status, text := w.tunnel(door, "private.test:1"); status == 200 {
		t.Errorf("what was shut in the middle: %d %s", status, text)
	}
	next <- sandbox.Egress{Mode: sandbox.EgressDenyAll}
	if _, _, status, text := w.tunnel(door, "allowed.test:1"); status == 200 {
		t.Errorf("what was denied in the middle: %d %s", status, text)
	}
}

// A policy that another process sets holds here too, before the next connection.
func TestPolicyOfAnother(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test")
	path := filepath.Join(t.TempDir(), "policy")
	set := func(mode sandbox.EgressMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(mode), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	p := w.proxy(Config{Changed: Watched(path, func() (sandbox.Egress, error) {
		reads++
		b, err := os.ReadFile(path)
		return sandbox.Egress{Mode: sandbox.EgressMode(b)}, err
	})})
	door, _ := w.doors(p)
	ask := func(want int) net.Conn {
		t.Helper()
		c, _, status, text := w.tunnel(door, "allowed.test:1")
		if status != want {
			t.Errorf("%d %s, want %d", status, text, want)
		}
		return c
	}
	ask(200) // there is no file
	set(sandbox.EgressAllowAll)
	c := ask(200)
	ask(200)
	set(sandbox.EgressDenyAll)
	ask(403)
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("an earlier connection: %v", err)
	}
	set("nonsense")
	ask(403)
	if reads != 3 {
		t.Errorf("it was read %d times, want 3", reads)
	}
}

// Whoever has taken over is not disturbed by whoever has not noticed: at the doors that both have, the old one takes at most
// one connection more, which fails, and what it had ends.
func TestReplaced(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test")
	path := filepath.Join(t.TempDir(), "epoch")
	epoch := func(n string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(n), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	open := func(own string) *Proxy {
		return w.proxy(Config{Limits: sandbox.Limits{Connections: -1}, Changed: Watched(path, func() (sandbox.Egress, error) {
			b, err := os.ReadFile(path)
			if err == nil && string(b) > own {
				err = ErrReplaced
			}
			return sandbox.Egress{}, err
		})})
	}
	epoch("1")
	old := open("1")
	door, dns := w.doors(old)
	var both Doors
	for d := range old.doors {
		var err error
		var f *os.File
		switch d := d.(type) {
		case *net.TCPListener:
			if f, err = d.File(); err == nil {
				both.Connect, err = net.FileListener(f)
			}
		case *net.UDPConn:
			if f, err = d.File(); err == nil {
				both.DNS, err = net.FilePacketConn(f)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	before, r, status, text := w.tunnel(door, "allowed.test:1")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	epoch("2")
	next := open("2")
	if err := next.Serve(both); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i := 0; ; i++ { // until the old one has had its turn
		c, _, status, _ := w.tunnel(door, "allowed.test:1")
		if status != 200 {
			failed++
		}
		if c != nil {
			c.Close()
		}
		select {
		case <-old.Done():
		default:
			if i < 10_000 {
				continue
			}
			t.Error("the old one goes on")
		}
		break
	}
	before.SetDeadline(time.Now().Add(time.Minute))
	if _, err := r.ReadByte(); err == nil || err == io.EOF || os.IsTimeout(err) {
		t.Errorf("an earlier connection: %v, want a reset", err)
	}
	for range 20 {
		if _, _, status, text := w.tunnel(door, "allowed.test:1"); status != 200 {
			t.Errorf("after it: %d %s", status, text)
		}
	}
	if opened := old.Traffic().Opened; failed > 1 || opened != 1 {
		t.Errorf("%d failed; the old one opened %d", failed, opened)
	}
	c, err := net.Dial("udp", dns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(ask(typeA, "allowed", "test")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, maxPacket)
	if n, err := c.Read(b); err != nil || next.names.name(netip.AddrFrom4([4]byte(b[max(n, 4)-4:max(n, 4)]))) != "allowed.test" {
		t.Errorf("a question for a name: %v, %v", b[:n], err)
	}
}

func TestConnectionLimit(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test")
	p := w.proxy(Config{Limits: sandbox.Limits{Connections: 2}})
	door, _ := w.doors(p)
	first, _, status, _ := w.tunnel(door, "allowed.test:1")
	if status != 200 {
		t.Fatal(status)
	}
	idle, err := net.Dial("tcp", door) // one that asks for nothing counts too
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, _, status, text := w.tunnel(door, "allowed.test:1"); status != 0 {
		t.Errorf("one too many: %d %s", status, text)
	}
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Why: sandbox.CauseConnections})
	first.Close()
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionClosed})
	for p.Traffic().Connections > 1 { // the end is told just before it is counted
		time.Sleep(time.Millisecond)
	}
	if _, _, status, text := w.tunnel(door, "allowed.test:1"); status != 200 {
		t.Errorf("one in place of another: %d %s", status, text)
	}
}

// A server that is closed or refuses, and a proxy that is closed while somebody waits.
func TestEnds(t *testing.T) {
	w := newWorld(t)
	w.server(func(net.Conn) {}, "short.test")
	w.zone["nobody.test"] = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
	p := w.proxy(Config{})
	door, dns := w.doors(p)
	_, r, status, _ := w.tunnel(door, "short.test:1")
	if _, err := r.ReadByte(); status != 200 || err != io.EOF {
		t.Errorf("a server that closes: %d, %v", status, err)
	}
	if _, _, status, text := w.tunnel(door, "nobody.test:1"); status != 502 || len(w.dialled) != 3 {
		t.Errorf("nobody answers: %d %s, after %v", status, text, w.dialled)
	}
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionFailed, Name: "nobody.test", Why: sandbox.CauseDial})
	w.zone["slow.test"] = []netip.Addr{netip.MustParseAddr("203.0.113.3")}
	w.server(func(c net.Conn) { io.Copy(io.Discard, c) }, "open.test")
	open, r, _, _ := w.tunnel(door, "open.test:1")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the proxy is closed, and a connection lives")
	}
	open.Close()
	for _, a := range []string{door, dns} {
		if c, err := net.Dial("tcp", a); err == nil {
			c.Close()
			t.Errorf("the door %s is open", a)
		}
	}
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	if err := p.Serve(Doors{Connect: l}); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("Serve after Close: %v", err)
	}
	if err := p.SetPolicy(sandbox.Egress{}); err != nil {
		t.Error(err)
	}
}

// A program that has gone does not keep a connection that its server keeps.
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leak.Check(t)
		events := make(chan sandbox.Connection, 9)
		far, outside := halves()
		inside, near := halves()
		p, err := New(Config{OnConnection: func(c sandbox.Connection) { events <- c }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.begin(inside, func(f *flow) {
			f.target = target{name: "a.test", port: 1}
			f.join(outside, public)
			f.pump(nil)
		})
		begun := time.Now()
		go near.CloseWrite()
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the server reads %v", err)
		}
		time.Sleep(patience - time.Second)
		go far.Write([]byte("x")) // which is a sign of life
		if _, err := near.Read(make([]byte, 1)); err != nil {
			t.Errorf("the program reads %v", err)
		}
		if c := <-events; c.Kind != sandbox.ConnectionClosed || c.Received != 1 {
			t.Errorf("told %+v", c)
		}
		if d := time.Since(begun); d != 2*patience-time.Second {
			t.Errorf("after %v", d)
		}
		far.Close()
		near.Close()
	})
}

// halves is a connection in memory of which each end can be closed for writing alone.
func halves() (half, half) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	return half{a, d}, half{c, b}
}

// half reads from one pipe and writes to another.
type half struct {
	net.Conn
	out net.Conn
}

func (h half) Write(b []byte) (int, error) { return h.out.Write(b) }
func (h half) CloseWrite() error           { return h.out.Close() }
func (h half) Close() error                { h.out.Close(); return h.Conn.Close() }

// Whoever listens slowly does not hold anybody up, and learns how much it missed.
func TestEventsAreBounded(t *testing.T) {
	w := newWorld(t)
	var told, untold atomic.Int64
	release := make(chan struct{})
	p := w.proxy(Config{Policy: sandbox.Egress{Mode: sandbox.EgressDenyAll}, OnConnection: func(c sandbox.Connection) {
		<-release
		told.Add(1)
		untold.Add(c.Untold)
	}})
	const all = 2000
	for i := range all {
		p.reply(question{name: fmt.Sprintf("n%d.test", i), typ: typeA, class: classIN, raw: make([]byte, dnsHeader+1)})
	}
	close(release)
	p.Close()
	if n := told.Load(); n < 100 || n > toldAtOnce+toldPerSecond || p.Traffic().Denied != all {
		t.Errorf("told of %d, denied %+v", n, p.Traffic())
	}
	_ = untold.Load() // the last are not followed by one that could tell of them
}

// The rate is that of the limit, both ways at once. A machine that does much else can make it lower and never higher, so that
// one of three rounds decides.
func TestRate(t *testing.T) {
	const rate = 20_000_000 // bit/s
	w := newWorld(t)
	got := make(chan float64, 2)
	w.server(func(c net.Conn) { exchange(c, rate, got) }, "allowed.test")
	door, _ := w.doors(w.proxy(Config{Limits: sandbox.Limits{Network: rate}}))
	for round := range 8 { // of a machine that has more to do than it can, too little time may come at any moment
		c, _, _, _ := w.tunnel(door, "allowed.test:1")
		exchange(c, rate, got)
		up, down := <-got, <-got
		c.Close()
		t.Logf("%.2f and %.2f Mbit/s", up, down)
		if max(up, down) > 21 {
			t.Fatal("want at most 20 within 5 %")
		}
		if min(up, down) > 19 {
			return
		}
		if round == 7 {
			t.Error("want at least 20 within 5 %")
		}
	}
}

// exchange sends and receives at the same time for two seconds at the rate, and tells at what rate it received, in Mbit/s.
func exchange(c net.Conn, rate int64, got chan<- float64) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(c, zeros{})
	}()
	warm, bytes := rate/8/2, rate/8*2 // first what may be caught up with in the beginning, five times
	io.CopyN(io.Discard, c, warm)
	begun := time.Now()
	n, _ := io.CopyN(io.Discard, c, bytes)
	got <- float64(n) * 8 / time.Since(begun).Seconds() / 1e6
	c.(*net.TCPConn).SetReadDeadline(time.Now().Add(time.Minute))
	c.(*net.TCPConn).SetWriteDeadline(time.Now()) // enough sent
	<-sent
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
