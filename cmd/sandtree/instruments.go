package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/config"
	"github.com/sandtree/sandtree/supervisor/instruments"
)

// shown is what a command that drives runtimes shows of them while it runs.
type shown struct {
	metrics string // the flags
	pprof   bool

	traces *instruments.Traces // nil if nothing is traced
	server *instruments.Server // nil if nothing is shown
}

func (s *shown) flags(f *pflag.FlagSet) {
	f.StringVar(&s.metrics, "metrics", "", "show /metrics and /healthz at this `address` while the command runs, as 127.0.0.1:9464")
	f.BoolVar(&s.pprof, "pprof", false, "show profiles of this program at /debug/pprof/ of --metrics, which must be a loopback address")
}

// settings are what the flags say.
func (s *shown) settings() (all []config.Setting) {
	if s.metrics != "" {
		all = append(all, config.Setting{Key: "metrics.address", Value: s.metrics, Flag: "--metrics"})
	}
	if s.pprof {
		all = append(all, config.Setting{Key: "metrics.pprof", Value: "true", Flag: "--pprof"})
	}
	return all
}

// openTraces begins to export traces, if the configuration says where to. It comes before the system is opened.
func (a *app) openTraces() error {
	c, err := a.config()
	if err != nil || c.Traces.Endpoint == "" {
		return err
	}
	headers, err := c.Traces.HeaderMap()
	if err != nil {
		return err
	}
	a.shown.traces, err = instruments.OpenTraces(instruments.TracesConfig{
		Endpoint: c.Traces.Endpoint, Protocol: c.Traces.Protocol, Sample: c.Traces.Sample, Headers: headers, Version: version, Log: a.log(),
	})
	return err
}

// show shows the figures of a system, if the configuration says where.
func (a *app) show(s *supervisor.System) error {
	c, err := a.config()
	if err != nil || c.Metrics.Address == "" {
		return err
	}
	r := prometheus.NewRegistry()
	if err := instruments.Register(r, s, a.shown.traces, version); err != nil {
		return err
	}
	a.shown.server, err = instruments.Serve(c.Metrics.Address, instruments.Shown{Metrics: r, Healthy: s.Healthy, Profiles: c.Metrics.Pprof, Log: a.log()})
	switch {
	case a.shown.metrics == "": // the configuration's is every command's, and one at a time can have it
		if sandbox.CodeOf(err) == sandbox.Conflict {
			a.log().Warn("no metrics are shown", "err", err)
			return nil
		}
	case err == nil && !a.json: // who asked by a flag may have asked for any port
		fmt.Fprintf(a.call.Stderr, "sandtree: metrics at http://%s/metrics\n", a.shown.server.Addr())
	}
	return err
}

// hide ends what is shown, before the system is closed; traces go on until its end.
func (a *app) hide(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTime) // a profile may take a minute
	defer cancel()
	return a.shown.server.Close(ctx)
}

// flushTime is how long a command waits for the end of what it tells others of itself.
const flushTime = 3 * time.Second

// closeTraces sends what is left of the traces. That they cannot be sent is no failure of the command.
func (a *app) closeTraces(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, flushTime, errors.New("the endpoint of traces takes its time"))
	defer cancel()
	if err := a.shown.traces.Close(ctx); err != nil {
		a.log().Warn("traces are lost", "err", err)
	}
}
