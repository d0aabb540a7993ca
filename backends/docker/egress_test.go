package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// A policy outlives who set it: the next process finds it, and lets out what it allows.
func TestEgressOutlivesItsController(t *testing.T) {
	need.Root(t)
	dockerd.Host(t)
	leak.Check(t)
	c := testConfig(t)
	c.Network = networkFiltered
	var mu sync.Mutex
	var heard []sandbox.Connection
	c.OnConnection = func(id sandbox.ID, s sandbox.Connection) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, s)
	}
	to := greeter(t)
	opened := func() *backends.Backend {
		d, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return backends.Open("test", d, backends.Config{})
	}
	greets := func(s *backends.Sandbox) bool {
		t.Helper()
		o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Blocking: true, Command: fmt.Sprintf(
			"timeout 10 bash -c 'exec 3<>/dev/tcp/%s/%d && read -r -t 10 line <&3 && echo got $line'", to.Addr(), to.Port())}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(o.Content, "got hello")
	}
	first := opened()
	s, err := first.Start(t.Context(), sandbox.Spec{ID: "a", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	if err != nil {
		t.Fatal(err)
	}
	if greets(s) {
		t.Error("it gets out where nothing is allowed")
	}
	policy := sandbox.Egress{CIDRs: []string{to.Addr().String()}}
	if err := s.SetEgress(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	if !greets(s) {
		t.Error("it does not get out where it is allowed")
	}
	second := opened()
	also, err := second.Attach(t.Context(), "a", 0) // while the first is there
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []sandbox.Egress{{Mode: sandbox.EgressDenyAll}, policy} { // whichever of the two lets it out
		if err := also.SetEgress(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			if got := greets(also); got != (e.Mode == "") {
				t.Errorf("it gets out: %v, by %+v", got, e)
			}
		}
	}
	s.Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if !greets(also) {
		t.Error("it does not get out through the second process")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := also.Halt(ctx); err != nil {
		t.Error(err)
	}
	again, err := second.Start(ctx, sandbox.Spec{ID: "a", Egress: policy}) // another run of the container
	if err != nil {
		t.Fatal(err)
	}
	if !greets(again) {
		t.Error("it does not get out after its revival")
	}
	if err := again.Stop(ctx, 0); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if len(heard) < 4 || heard[0].Kind != sandbox.ConnectionDenied {
		t.Errorf("heard %+v", heard)
	}
}

// TestTakenOver has a controller that does not know that another has taken over its sandbox: it lets nothing out any more.
func TestTakenOver(t *testing.T) {
	need.Root(t)
	c := testConfig(t)
	c.Network = networkFiltered
	to := greeter(t)
	first, before := opened(t, c)
	policy := sandbox.Egress{CIDRs: []string{to.Addr().String()}}
	s, err := before.Start(t.Context(), sandbox.Spec{ID: "a", Epoch: 1, Egress: policy})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	greets := fmt.Sprintf("timeout 10 bash -c 'exec 3<>/dev/tcp/%s/%d && read -r -t 10 line <&3 && echo got $line'", to.Addr(), to.Port())
	prints(t, s, greets, "got hello")
	own, err := before.Attach(t.Context(), "a", 2) // it is its own successor, and serves on
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	prints(t, own, greets, "got hello")
	ways := func() int {
		first.mu.Lock()
		defer first.mu.Unlock()
		return len(first.ways)
	}
	if ways() != 1 {
		t.Errorf("%d ways out through the first process", ways())
	}
	_, after := opened(t, c)
	also, err := after.Attach(t.Context(), "a", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer also.Close()
	for n := 0; ways() > 0; n++ { // whichever of the two a connection arrives at
		if n > 50 {
			t.Fatal("the first process goes on letting it out")
		}
		run(t, also, greets)
	}
	for range 8 {
		prints(t, also, greets, "got hello")
	}
}

// A container that was made with another network keeps it, and nobody is told that it is filtered.
func TestMadeWithAnotherNetwork(t *testing.T) {
	need.Root(t)
	c := testConfig(t)
	if c.Network = bridged(t, c.Host); c.Network == "" {
		t.Skip("the engine has no bridge")
	}
	_, before := opened(t, c)
	if _, err := before.Start(t.Context(), sandbox.Spec{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c.Network, c.Log = "", slog.New(slog.NewTextHandler(&log, nil))
	_, after := opened(t, c)
	s, err := after.Attach(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressDenyAll}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("SetEgress: %v", err)
	}
	if !strings.Contains(log.String(), "not enforced") {
		t.Errorf("it says %q", &log)
	}
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = after.Start(t.Context(), sandbox.Spec{ID: "a", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	if sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("started where no policy holds: %v", err)
	}
}

// greeter is a server at an address of this host that is not of its loopback.
func greeter(t *testing.T) netip.AddrPort {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(n.IP.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "hello\n")
				c.Close()
			}
		})
		t.Cleanup(func() { l.Close(); wg.Wait() })
		return netip.MustParseAddrPort(l.Addr().String())
	}
	t.Skip("this host has no address but that of its loopback")
	return netip.AddrPort{}
}
