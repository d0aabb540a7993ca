package limitstest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func number(s string) float64 {
	n, _ := strconv.ParseFloat(s, 64)
	return n
}

// hostAddr is an address of this host that is not of its loopback.
func (w *world) hostAddr() netip.Addr {
	w.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		w.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().Is4() && !ip.Unmap().IsLoopback() && !ip.Unmap().IsLinkLocalUnicast() {
				return ip.Unmap()
			}
		}
	}
	w.Skip("this host has no address but that of its loopback")
	return netip.Addr{}
}

// server serves connections at an address of this host.
func (w *world) server(serve func(net.Conn)) netip.AddrPort {
	w.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(w.hostAddr(), 0).String())
	if err != nil {
		w.Fatal(err)
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
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c)
			})
		}
	})
	w.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// opened is the policy that lets nothing be connected to but an address of this host.
func opened(a netip.AddrPort) sandbox.Egress {
	return sandbox.Egress{Mode: sandbox.EgressAllowList, CIDRs: []string{a.Addr().String()}}
}

// greets says whether a program in the sandbox is greeted by the server at a.
const greets = `timeout 10 bash -c 'exec 3<>/dev/tcp/%s/%d && read -r -t 10 line <&3 && echo "got $line"' 2>&1`

func greeting(c net.Conn) {
	fmt.Fprintln(c, "hello")
	_, _ = io.Copy(io.Discard, c)
}

// network measures at whoever receives, after what may be caught up with in the beginning.
func (w *world) network() {
	const rate, warm, bytes = 20_000_000, 1_250_000, 5_000_000 // bit/s; bytes
	took := make(chan float64, 1)
	a := w.server(func(c net.Conn) {
		way := make([]byte, 1)
		if _, err := io.ReadFull(c, way); err != nil {
			return
		}
		if way[0] == 'd' {
			_, _ = io.CopyN(c, zeros{}, warm+bytes)
			return
		}
		_, _ = io.CopyN(io.Discard, c, warm)
		begun := time.Now()
		_, _ = io.CopyN(io.Discard, c, bytes)
		took <- time.Since(begun).Seconds()
	})
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Network: rate}, Egress: opened(a)})
	open := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%d; `, a.Addr(), a.Port())
	w.within("Mbit/s in", rate/1e6, 0.05, func() float64 {
		return bytes * 8 / 1e6 / w.number(s, open+`printf d >&3; head -c 1250000 <&3 >/dev/null; `+timed(`head -c 5000000 <&3 >/dev/null`)+`; exec 3>&-`)
	})
	w.within("Mbit/s out", rate/1e6, 0.05, func() float64 {
		w.run(s, open+`printf u >&3; head -c 6250000 /dev/zero >&3; exec 3>&-`)
		return bytes * 8 / 1e6 / <-took
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func (w *world) connections() {
	a := w.server(greeting)
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Connections: 5}, Egress: opened(a)})
	n := w.number(s, fmt.Sprintf(`timeout 30 bash -c 'n=0; for i in 11 12 13 14 15 16 17 18; do
		eval "exec $i<>/dev/tcp/%s/%d" && eval "read -r -t 10 line <&$i" && n=$((n+1)); done 2>/dev/null; echo $n'`, a.Addr(), a.Port()))
	if n != 5 {
		w.Errorf("%.0f connections at a time, want 5", n)
	}
	if out, _ := w.run(s, fmt.Sprintf(greets, a.Addr(), a.Port())); out != "got hello" {
		w.Errorf("after they were closed: %q", out)
	}
}

func (w *world) ports() {
	good, bad := w.server(greeting), w.server(greeting)
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Ports: fmt.Sprint(good.Port())}, Egress: opened(good)})
	for a, want := range map[netip.AddrPort]bool{good: true, bad: false} {
		if out, _ := w.run(s, fmt.Sprintf(greets, a.Addr(), a.Port())); (out == "got hello") != want {
			w.Errorf("port %d, of which %d is allowed: %q", a.Port(), good.Port(), out)
		}
	}
}

// egress: what is listed can be reached, what is not cannot, whatever a program tries; and a change holds at once.
func (w *world) egress() {
	a := w.server(greeting)
	s := w.start(sandbox.Spec{Egress: opened(a)})
	reach := func(want bool, when string) {
		w.Helper()
		if out, _ := w.run(s, fmt.Sprintf(greets, a.Addr(), a.Port())); (out == "got hello") != want {
			w.Errorf("%s: %q", when, out)
		}
	}
	reach(true, "what is listed")
	for _, other := range []string{"169.254.169.254", "192.0.2.77", "198.18.5.5"} {
		if out, code := w.run(s, fmt.Sprintf(greets, other, a.Port())); code == 0 {
			w.Errorf("%s: %q", other, out)
		}
	}
	if out, code := w.run(s, fmt.Sprintf(greets, "denied.test", 80)); code == 0 {
		w.Errorf("a name that is not listed: %q", out)
	}
	w.run(s, fmt.Sprintf(`exec 3<>/dev/tcp/%s/%d; read -r line <&3`, a.Addr(), a.Port()))
	for mode, want := range map[sandbox.EgressMode]bool{sandbox.EgressDenyAll: false, sandbox.EgressAllowAll: false} { // the host is shut
		if err := s.SetEgress(w.Context(), sandbox.Egress{Mode: mode}); err != nil {
			w.Fatal(err)
		}
		reach(want, string(mode))
	}
	if out, code := w.run(s, `read -r -t 10 line <&3; echo "$? $line"`); out == "0 hello" || code != 0 {
		w.Errorf("a connection that is no longer allowed: %d, %q", code, out)
	}
	if err := s.SetEgress(w.Context(), opened(a)); err != nil {
		w.Fatal(err)
	}
	reach(true, "listed again")
	traffic, err := s.Traffic()
	if err != nil || traffic.Opened < 3 || traffic.Denied < 5 || traffic.Received < 18 {
		w.Errorf("traffic: %+v, %v", traffic, err)
	}
}
