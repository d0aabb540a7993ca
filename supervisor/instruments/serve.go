package instruments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/sandtree/sandtree/sandbox"
)

// Shown is what Handler shows.
type Shown struct {
	Metrics prometheus.Gatherer
	// Healthy is asked for /healthz; the error is shown. nil is always well.
	Healthy func() error
	// Profiles shows the profiles of the process at /debug/pprof/, to those of this host: they tell much of what is in memory.
	Profiles bool
	Log      *slog.Logger // nil discards
}

const (
	scrapes    = 4                // at a time
	scrapeTime = 10 * time.Second // as Prometheus waits by default
	maxConns   = 64
	maxHead    = 16 << 10 // bytes of a request's head
)

// Handler answers GET /metrics, /healthz and, if that is wanted, /debug/pprof/….
func Handler(s Shown) http.Handler {
	mux := http.NewServeMux()
	o := promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, Timeout: scrapeTime, ErrorHandling: promhttp.HTTPErrorOnError}
	if s.Log != nil {
		o.ErrorLog = slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, o))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.Healthy != nil {
			if err := s.Healthy(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	if s.Profiles {
		mux.Handle("GET /debug/pprof/", local(http.HandlerFunc(profiles)))
	}
	return mux
}

// A Server shows at an address of its own what Handler does.
type Server struct {
	http  *http.Server
	ln    net.Listener
	ended chan struct{}
}

// Serve serves s at address, HOST:PORT; a port of 0 is any. Codes: Invalid (the address; or profiles at one that is not this
// host's own), Conflict (something listens there), Denied.
func Serve(address string, s Shown) (*Server, error) {
	fail := func(code sandbox.Code, err error) (*Server, error) {
		return nil, &sandbox.Error{Code: code, Op: "instruments.Serve", Err: fmt.Errorf("%s: %w", address, err)}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fail(sandbox.Invalid, errors.New("want HOST:PORT, as in 127.0.0.1:9464"))
	}
	if s.Profiles && !loopback(host) {
		return fail(sandbox.Invalid, errors.New("profiles are shown at a loopback address only, as 127.0.0.1 or localhost"))
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fail(listenCode(err), err)
	}
	if at, ok := ln.Addr().(*net.TCPAddr); s.Profiles && (!ok || !at.IP.IsLoopback()) { // whatever this host calls localhost
		return fail(sandbox.Invalid, errors.Join(fmt.Errorf("it is %s, and profiles are shown at a loopback address only", ln.Addr()), ln.Close()))
	}
	v := &Server{ln: ln, ended: make(chan struct{}), http: &http.Server{
		Handler: Handler(s), MaxHeaderBytes: maxHead,
		ReadHeaderTimeout: scrapeTime, ReadTimeout: scrapeTime, WriteTimeout: longestProfile + scrapeTime, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}}
	go func() {
		defer close(v.ended)
		_ = v.http.Serve(netutil.LimitListener(ln, maxConns)) // until Close
	}()
	return v, nil
}

// Addr is where it listens.
func (v *Server) Addr() string { return v.ln.Addr().String() }

// Close ends it. ctx bounds the wait for answers in progress, which are cut then. Idempotent.
func (v *Server) Close(ctx context.Context) error {
	if v == nil {
		return nil
	}
	err := v.http.Shutdown(ctx)
	if err != nil {
		err = v.http.Close()
	}
	<-v.ended
	return err
}
