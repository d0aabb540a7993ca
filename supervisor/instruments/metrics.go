// Package instruments shows what a supervisor.System does to those who look after it: its figures as Prometheus' metrics, its
// traces by OTLP, and both at an HTTP address together with the profiles of the process.
//
// Nothing here is global: metrics go to the registry that the caller hands in, spans to the endpoint that it names. The
// packages below count with atomics and know nothing of this one; a scrape reads what they have. What the metrics are called
// stands in one table, which docs/observability.md shows and a golden file holds still.
package instruments

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/transport"
	"github.com/sandtree/sandtree/transport/breaker"
)

// A Source is what metrics are of: a supervisor.System.
type Source interface{ Figures() supervisor.Figures }

// Register adds the metrics of s to a registry, those of the process, and, if t is not nil, those of the export of traces.
// version is that of the program.
func Register(r prometheus.Registerer, s Source, t *Traces, version string) error {
	c := &collector{source: s, traces: t, version: version, began: time.Now()}
	if err := r.Register(c); err != nil {
		return err
	}
	return r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// collector is the prometheus.Collector of a System.
type collector struct {
	source  Source
	traces  *Traces
	version string
	began   time.Time
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range table {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	p := page(to)
	f := c.source.Figures()
	p.value(buildInfo, 1, c.version)
	p.value(uptime, time.Since(c.began).Seconds())
	p.value(goroutines, float64(runtime.NumGoroutine()))
	f.Ended.Each(func(code sandbox.Code, n uint64) { p.value(actionsTotal, float64(n), word(code)) })
	p.times(actionDuration, f.Actions)
	p.actors(f.Actors)
	p.runtimes(f.Runtimes)
	p.journal(f.Journal)
	for _, name := range slices.Sorted(maps.Keys(f.Backends)) {
		p.backend(name, f.Backends[name])
	}
	if c.traces != nil {
		p.value(spansTotal, float64(c.traces.exported.Load()), "exported")
		p.value(spansTotal, float64(c.traces.dropped.Load()), "dropped")
		p.value(spansTotal, float64(c.traces.failed.Load()), "failed")
	}
}

// page is where the metrics of one scrape go.
type page chan<- prometheus.Metric

func (p page) value(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == counter {
		kind = prometheus.CounterValue
	}
	p <- prometheus.MustNewConstMetric(m.desc, kind, v, labels...)
}

// times is a histogram of nanoseconds, in seconds.
func (p page) times(m *metric, h *figures.Histogram, labels ...string) {
	p.histogram(m, h, 1e9, labels)
}

// numbers is a histogram of how many.
func (p page) numbers(m *metric, h *figures.Histogram, labels ...string) {
	p.histogram(m, h, 1, labels)
}

func (p page) histogram(m *metric, h *figures.Histogram, unit float64, labels []string) {
	count, sum, upTo := h.Read()
	buckets := make(map[float64]uint64, len(upTo))
	for bound, n := range upTo {
		buckets[float64(bound)/unit] = n
	}
	p <- prometheus.MustNewConstHistogram(m.desc, count, float64(sum)/unit, buckets, labels...)
}

func (p page) actors(all map[string]kit.Figures) {
	for kind, f := range all {
		p.value(actorsNow, float64(f.Actors), kind)
		p.value(mailboxMessages, float64(f.Messages), kind)
		p.value(mailboxLongest, float64(f.Longest), kind)
		p.value(actorFailures, float64(f.Failures), kind)
		p.value(actorRestarts, float64(f.Restarts), kind)
		p.value(deadLetters, float64(f.Dead), kind)
	}
}

func (p page) runtimes(f *actors.Figures) {
	f.Statuses(func(s sandbox.Status, n int64) { p.value(runtimes, float64(n), plain(s)) })
	p.value(waitingActions, float64(f.Waiting.Load()))
	p.value(runningActions, float64(f.Running.Load()))
	p.times(actionWait, f.Wait)
	f.Phases(func(backend, phase string, took *figures.Histogram) { p.times(startPhase, took, backend, phase) })
}

func (p page) journal(f *journal.Figures) {
	p.times(commitDuration, f.Commits)
	p.numbers(commitRecords, f.Records)
	p.times(logDuration, f.Logs)
	p.value(journalEvents, float64(f.Events.Load()))
	p.value(commitFailures, float64(f.Failures.Load()))
}

func (p page) backend(name string, f supervisor.BackendFigures) {
	p.times(startDuration, f.Starts, name)
	p.value(starts, float64(f.Cold.Load()), name, "cold")
	p.value(starts, float64(f.Warm.Load()), name, "warm")
	p.value(starts, float64(f.Found.Load()), name, "found")
	p.value(starts, float64(f.Attached.Load()), name, "attached")
	f.Failures(func(op string, code sandbox.Code, n uint64) {
		p.value(backendFailures, float64(n), name, op, string(code))
	})
	p.transport(name, f.Transport)
	if j := f.Janitor; j != nil {
		blind := j.Blind.Load()
		p.value(sweeps, float64(j.Sweeps.Load()-blind), name, "ok")
		p.value(sweeps, float64(blind), name, "failed")
		p.value(sweptEnded, float64(j.Ended.Load()), name)
		p.value(sweptFailed, float64(j.Failed.Load()), name)
		p.value(orphans, float64(j.Orphans.Load()), name)
	}
	if pool := f.Pool; pool != nil {
		p.value(poolWarm, float64(pool.Warm), name)
		p.value(poolWanted, float64(pool.Wanted), name)
		p.value(poolClaims, float64(pool.Claimed), name, "warm")
		p.value(poolClaims, float64(pool.None), name, "none")
		p.value(poolFailures, float64(pool.Failures), name)
	}
}

func (p page) transport(name string, f *transport.Figures) {
	p.times(transportDuration, f.Actions, name)
	f.Ended.Each(func(code sandbox.Code, n uint64) { p.value(transportActions, float64(n), name, word(code)) })
	p.value(requests, float64(f.Requests.Load()), name)
	p.value(retries, float64(f.Retries.Load()), name)
	p.value(resumes, float64(f.Resumes.Load()), name)
	p.value(dials, float64(f.Dials.Load()), name)
	p.value(trips, float64(f.Trips.Load()), name)
	for _, s := range []breaker.State{breaker.Closed, breaker.HalfOpen, breaker.Open} {
		p.value(breakers, float64(f.Breakers(s)), name, s.String())
	}
}

// word is a code as the value of a label; what went well has none.
func word(code sandbox.Code) string {
	if code == "" {
		return "ok"
	}
	return string(code)
}

// plain is a status as the value of a label, as in "ready".
func plain(s sandbox.Status) string {
	_, name, _ := strings.Cut(string(s), "$")
	return strings.ToLower(name)
}
