package confinedtest

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Egress has a program connect to a server of this host, by a literal address that the policy opens, and to others.
func Egress(t *testing.T, open Place) {
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
	b := open(t, dir, func(_ sandbox.ID, c sandbox.Connection) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, c)
	})
	s := Began(t, b, sandbox.Spec{ID: "x"})
	get := "python3 -c 'import urllib.request as u; print(u.build_opener(u.ProxyHandler({\"http\": \"http://127.0.0.1:3128\"})).open(\"http://" +
		l.Addr().String() + "/\", timeout=10).read())' 2>&1 | tail -1"
	if got := Run(t, s, get); !strings.Contains(got, "403") {
		t.Errorf("the host's loopback answers: %q", got)
	}
	if err := s.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressAllowList, CIDRs: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	if got := Run(t, s, get); !strings.Contains(got, "hello from outside") {
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
	next := open(t, dir, nil)
	Ends(t, next, "x")
	again, err := next.Attach(t.Context(), "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := Run(t, again, get); !strings.Contains(got, "hello from outside") {
		t.Errorf("after another process has attached, what is allowed says %q", got)
	}
}

// Replaced has another controller take a sandbox over for a higher epoch: what its programs connect to is let out, or not,
// by that one alone, until the first takes it back.
func Replaced(t *testing.T, open Place) {
	dir := t.TempDir()
	first, second := open(t, dir, nil), open(t, dir, nil)
	Ends(t, first, "x")
	Ends(t, second)
	a := Began(t, first, sandbox.Spec{ID: "x", Epoch: 1, Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	get := `for i in $(seq 12); do python3 -c 'import urllib.request as u
print(u.build_opener(u.ProxyHandler({"http": "http://127.0.0.1:3128"})).open("http://192.0.2.1/", timeout=5).read())' 2>&1 | tail -1; done`
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
	Run(t, b, get)
	if one, two := denied(a), denied(b); one != 0 || two < 11 { // the one that told the first is reset
		t.Errorf("the first denied %d, the second %d", one, two)
	}
	again, err := first.Attach(t.Context(), "x", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	before := denied(b)
	Run(t, again, get)
	if one, two := denied(again), denied(b)-before; one < 11 || two != 0 {
		t.Errorf("taken back, the first denied %d, the second %d", one, two)
	}
}
