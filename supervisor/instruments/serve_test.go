package instruments_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor/instruments"
	"github.com/sandtree/sandtree/testing/leak"
)

// show serves s at any port of this host.
func show(t *testing.T, s instruments.Shown) (get func(path string, host ...string) (int, string)) {
	t.Helper()
	leak.Check(t)
	if s.Metrics == nil {
		s.Metrics = prometheus.NewRegistry()
	}
	v, err := instruments.Serve("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		for range 2 {
			if err := v.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return func(path string, host ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+v.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(host) > 0 {
			r.Host = host[0]
		}
		resp, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

func TestServeShowsMetricsAndHealth(t *testing.T) {
	var sick atomic.Bool
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "some_seconds", Help: "Some."})
	r := prometheus.NewRegistry()
	r.MustRegister(g)
	get := show(t, instruments.Shown{Metrics: r, Healthy: func() error {
		if sick.Load() {
			return errors.New("it is ill")
		}
		return nil
	}})
	if code, text := get("/metrics"); code != 200 || !strings.Contains(text, "some_seconds 0") {
		t.Errorf("metrics: %d, %s", code, text)
	}
	if code, text := get("/healthz"); code != 200 || text != "ok\n" {
		t.Errorf("healthz: %d, %s", code, text)
	}
	sick.Store(true)
	if code, text := get("/healthz"); code != 503 || !strings.Contains(text, "it is ill") {
		t.Errorf("healthz: %d, %s", code, text)
	}
	if code, _ := get("/debug/pprof/"); code != 404 {
		t.Errorf("profiles that nobody asked for: %d", code)
	}
	if code, _ := get("/"); code != 404 {
		t.Errorf("/: %d", code)
	}
}

func TestServeShowsProfilesToThisHostAlone(t *testing.T) {
	get := show(t, instruments.Shown{Profiles: true})
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=2": 200, "/debug/pprof/profile?seconds=0.05": 200,
		"/debug/pprof/trace?seconds=0.05": 200, "/debug/pprof/nothing": 404, "/debug/pprof/profile?seconds=0": 400,
		"/debug/pprof/profile?seconds=3600": 400, "/debug/pprof/trace?seconds=x": 400,
	} {
		if code, text := get(path); code != want || text == "" {
			t.Errorf("%s: %d, %d bytes", path, code, len(text))
		}
	}
	for path, begins := range map[string]string{ // what go tool pprof and go tool trace take
		"/debug/pprof/heap": "\x1f\x8b", "/debug/pprof/profile?seconds=0.05": "\x1f\x8b", "/debug/pprof/trace?seconds=0.05": "go 1.",
	} {
		if _, text := get(path); !strings.HasPrefix(text, begins) {
			t.Errorf("%s begins with %.10q", path, text)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:80", "localhost.evil.example"} {
		if code, _ := get("/debug/pprof/heap", host); code != 403 {
			t.Errorf("asked for by the name %s: %d", host, code)
		}
	}
	if code, _ := get("/debug/pprof/", "localhost"); code != 200 {
		t.Errorf("asked for by the name localhost: %d", code)
	}
}

func TestServeRefuses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, c := range []struct {
		address  string
		profiles bool
		want     sandbox.Code
	}{
		{"nonsense", false, sandbox.Invalid},
		{"0.0.0.0:0", true, sandbox.Invalid},
		{":0", true, sandbox.Invalid},
		{"example.org:0", true, sandbox.Invalid},
		{"127.0.0.1:99999", false, sandbox.Invalid},
		{ln.Addr().String(), false, sandbox.Conflict},
	} {
		if v, err := instruments.Serve(c.address, instruments.Shown{Metrics: prometheus.NewRegistry(), Profiles: c.profiles}); sandbox.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.address, err, c.want)
			v.Close(t.Context())
		}
	}
	var none *instruments.Server
	if err := none.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
