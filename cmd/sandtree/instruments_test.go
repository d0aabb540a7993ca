package main

import (
	"bytes"
	"fmt"
	"github.com/sandtree/sandtree/testing/need"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// get asks an address for a path.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, b)
	}
	return string(b)
}

func TestRunShowsItsMetrics(t *testing.T) {
	u := newUser(t)
	address := fmt.Sprintf("127.0.0.1:%d", need.Port(t))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	u.run("run", "--metrics", address, "true").want(t, 125).wantErr(t, address, "in use")
	u.run("--set", "metrics.address="+address, "run", "echo x").want(t, 0, "x") // the configuration's is another's
	u.run("run", "--metrics", "0.0.0.0:0", "--pprof", "true").want(t, 125).wantErr(t, "loopback")
	u.run("run", "--pprof", "true").want(t, 125).wantErr(t, "metrics.address")
	ln.Close()

	r := u.start("run", "--metrics", address, "--pprof", "echo up; sleep 60")
	r.until("up")
	if text := get(t, "http://"+address+"/metrics"); !strings.Contains(text, "sandtree_running_actions 1") ||
		!strings.Contains(text, `sandtree_runtimes{status="ready"} 1`) {
		t.Errorf("the metrics:\n%s", text)
	}
	if get(t, "http://"+address+"/healthz") != "ok\n" || !strings.Contains(get(t, "http://"+address+"/debug/pprof/"), "goroutine") {
		t.Error("it is not healthy, or shows no profiles")
	}
	http.DefaultClient.CloseIdleConnections()
	for range 2 { // the first interrupts what runs
		_ = r.Process.Signal(os.Interrupt)
	}
	r.wait().wantErr(t, "metrics at http://"+address)
}

func TestRunExportsTraces(t *testing.T) {
	u := newUser(t)
	var mu sync.Mutex
	var got bytes.Buffer
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("X-Key") == "geheim" {
			_, _ = io.Copy(&got, r.Body)
		}
	}))
	defer server.Close()
	settings := []string{"--set", "traces.endpoint=" + server.URL, "--set", "traces.headers=x-key=geheim"}
	u.run(append(settings, "run", "true")...).want(t, 0)
	for _, name := range []string{"supervisor.do", "transport.attempt", "process", "runtime.start", "place.boot"} {
		if !bytes.Contains(got.Bytes(), []byte(name)) {
			t.Errorf("there is no span %s", name)
		}
	}
	if r := u.run(append(settings, "config")...); strings.Contains(r.out, "geheim") {
		t.Errorf("a secret is shown:\n%s", r.out)
	}
	server.Close() // which costs nobody his answer
	u.run(append(settings, "run", "echo x")...).want(t, 0, "x")
}
