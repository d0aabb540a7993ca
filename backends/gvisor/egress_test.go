package gvisor_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// run runs a command and gives what it printed.
func run(t testing.TB, s *backends.Sandbox, command string) string {
	t.Helper()
	o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(o.Content)
}

// began starts a sandbox that ends with the test.
func began(t testing.TB, b *backends.Backend, spec sandbox.Spec) *backends.Sandbox {
	t.Helper()
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ends removes a sandbox and lets go of the backend when the test ends.
func ends(t testing.TB, b *backends.Backend, ids ...sandbox.ID) {
	t.Cleanup(func() {
		for _, id := range ids {
			if err := b.Remove(context.Background(), id, backends.AnyEpoch, 0); err != nil {
				t.Error(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestEgress has a program connect to a server of this host, by a literal address that the policy opens, and to others.
func TestEgress(t *testing.T) {
	need.GVisor(t)
	leak.Check(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello from outside")) })}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	defer wg.Wait()
	defer server.Close()
	var mu sync.Mutex
	var heard []sandbox.Connection
	d, err := gvisor.New(gvisor.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Companion: need.GVisor(t), OnConnection: func(id sandbox.ID, c sandbox.Connection) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := backends.Open("gvisor", d, backends.Config{})
	s := began(t, b, sandbox.Spec{ID: "x"})
	get := "python3 -c 'import urllib.request as u; print(u.build_opener(u.ProxyHandler({\"http\": \"http://127.0.0.1:3128\"})).open(\"http://" +
		l.Addr().String() + "/\", timeout=10).read())' 2>&1 | tail -1"
	if got := run(t, s, get); !strings.Contains(got, "403") {
		t.Errorf("the host's loopback answers: %q", got)
	}
	if err := s.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressAllowList, CIDRs: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, get); !strings.Contains(got, "hello from outside") {
		t.Errorf("what is allowed says %q", got)
	}
	if traffic, err := s.Traffic(); err != nil || traffic.Opened != 1 || traffic.Denied != 1 || traffic.Received == 0 {
		t.Errorf("traffic is %+v, %v", traffic, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heard) != 3 || heard[0].Kind != sandbox.ConnectionDenied || heard[1].Kind != sandbox.ConnectionOpened || heard[2].Kind != sandbox.ConnectionClosed {
		t.Errorf("heard of %+v", heard)
	}
	// The next process finds the policy.
	next := backends.Open("gvisor", open(t, dir), backends.Config{})
	ends(t, next, "x")
	again, err := next.Attach(t.Context(), "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := run(t, again, get); !strings.Contains(got, "hello from outside") {
		t.Errorf("after another process has attached, what is allowed says %q", got)
	}
}

// TestNoNetwork has no way out at all, and a policy for it is refused.
func TestNoNetwork(t *testing.T) {
	b := backends.Open("gvisor", with(t, gvisor.Config{StateDir: t.TempDir(), Network: "none"}), backends.Config{})
	ends(t, b, "x", "y")
	_, err := b.Start(t.Context(), sandbox.Spec{ID: "y", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	if sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("with a policy: %v", err)
	}
	s := began(t, b, sandbox.Spec{ID: "x"})
	if err := s.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressDenyAll}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("a policy later: %v", err)
	}
	got := run(t, s, `for a in 127.0.0.1:3128 192.0.2.1:80; do (exec 3<>/dev/tcp/${a/:/\/}) 2>&1 | grep -o 'refused\|unreachable' | head -1; done; python3 -c 'import socket as s
l = s.create_server(("127.0.0.1", 0)); c = s.create_connection(l.getsockname()); c.send(b"itself"); print(l.accept()[0].recv(9).decode())'`)
	if strings.Join(strings.Fields(got), " ") != "refused unreachable itself" {
		t.Errorf("it reaches %q", got)
	}
}

// TestReplaced has another controller take a sandbox over for a higher epoch: what its programs connect to is let out, or not,
// by that one alone, until the first takes it back.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	first, second := backends.Open("gvisor", open(t, dir), backends.Config{}), backends.Open("gvisor", open(t, dir), backends.Config{})
	ends(t, first, "x")
	ends(t, second)
	a := began(t, first, sandbox.Spec{ID: "x", Epoch: 1, Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	get := `for i in $(seq 12); do python3 -c 'import urllib.request as u; print(u.build_opener(u.ProxyHandler({"http": "http://127.0.0.1:3128"})).open("http://192.0.2.1/", timeout=5).read())' 2>&1 | tail -1; done`
	denied := func(s *backends.Sandbox) int64 {
		t.Helper()
		traffic, err := s.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		return traffic.Denied
	}
	b, err := second.Attach(t.Context(), "x", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run(t, b, get)
	if one, two := denied(a), denied(b); one != 0 || two < 11 { // the one that told the first is reset
		t.Errorf("the first denied %d, the second %d", one, two)
	}
	again, err := first.Attach(t.Context(), "x", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	before := denied(b)
	run(t, again, get)
	if one, two := denied(again), denied(b)-before; one < 11 || two != 0 {
		t.Errorf("taken back, the first denied %d, the second %d", one, two)
	}
}
