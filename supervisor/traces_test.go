package supervisor

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// spans gathers what a Tracer tells.
type spans struct {
	mu  sync.Mutex
	all []Span
}

func (s *spans) take(span Span) {
	s.mu.Lock()
	s.all = append(s.all, span)
	s.mu.Unlock()
}

func (s *spans) of(trace string) map[string][]Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := map[string][]Span{}
	for _, span := range s.all {
		if span.Trace.String() == trace {
			by[span.Name] = append(by[span.Name], span)
		}
	}
	return by
}

// locked is a buffer for several goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	someParent = "00-" + someTrace + "-00f067aa0ba902b7-01"
)

// One trace goes from Do over the actors and the transport to the server in the sandbox and the command.
func TestATraceGoesFromDoToTheCommand(t *testing.T) {
	var heard spans
	var log locked
	s := openSystem(t, stateDir(t), func(c *Config) {
		c.Tracer = NewTracer(1, heard.take)
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	ctx := WithTraceparent(t.Context(), someParent)
	if _, err := rt.Run(ctx, "sleep 0.1; exit_with() { return 3; }; exit_with", nil); err != nil {
		t.Fatal(err)
	}
	by := heard.of(someTrace)
	parent := "00f067aa0ba902b7"
	var outer Span
	for _, name := range []string{"supervisor.do", "actor.perform", "transport.attempt", "sandboxd.action", "process"} {
		if len(by[name]) != 1 {
			t.Fatalf("%d spans %s in %v", len(by[name]), name, by)
		}
		span := by[name][0]
		if span.Parent.String() != parent {
			t.Errorf("%s is below %s, want %s", name, span.Parent, parent)
		}
		if outer.Name != "" && (span.Begun.Before(outer.Begun) || span.Ended.After(outer.Ended)) {
			t.Errorf("%s is not within %s", name, outer.Name)
		}
		if inside := name == "process" || name == "sandboxd.action"; span.Inside != inside {
			t.Errorf("%s: inside is %v", name, span.Inside)
		}
		parent, outer = span.ID.String(), span
	}
	if p := by["process"][0]; p.Ended.Sub(p.Begun) < 100*time.Millisecond ||
		!slices.ContainsFunc(p.Attrs, func(a Attr) bool { return a == Attr{Key: "exit_code", Value: "3"} }) {
		t.Errorf("the process: %+v", p)
	}
	for name, below := range map[string]string{"actor.wait": "supervisor.do", "journal.log": "actor.perform", "sandboxd.wait": "sandboxd.action"} {
		if len(by[name]) == 0 || by[name][0].Parent != by[below][0].ID {
			t.Errorf("%s is not below %s: %v", name, below, by)
		}
	}
	if !strings.Contains(log.String(), "trace_id="+someTrace) {
		t.Errorf("no line of the log has the trace's id:\n%s", &log)
	}
}

// A start is a trace too, with its phases, and what its set-up runs.
func TestATraceOfAStart(t *testing.T) {
	var heard spans
	s := openSystem(t, stateDir(t), func(c *Config) { c.Tracer = NewTracer(1, heard.take) })
	ctx := WithTraceparent(t.Context(), someParent)
	if _, err := s.Runtime(ctx, sandbox.Spec{Setup: sandbox.Setup{Env: map[string]string{"A": "b"}}}); err != nil {
		t.Fatal(err)
	}
	by := heard.of(someTrace)
	for name, below := range map[string]string{
		"runtime.start": "supervisor.open", sandbox.PhaseLease: "runtime.start", sandbox.PhasePlace: "runtime.start",
		sandbox.PhaseBoot: sandbox.PhasePlace, sandbox.PhaseSetUp: "runtime.start", "transport.attempt": sandbox.PhaseSetUp, "process": "sandboxd.action",
	} {
		if len(by[name]) == 0 || len(by[below]) == 0 || by[name][0].Parent != by[below][0].ID {
			t.Errorf("%s is not below %s: %v", name, below, by)
		}
	}
}

// What is not sampled is not traced, nor is anything where there is no Tracer.
func TestWhatIsNotSampledIsNotTraced(t *testing.T) {
	var heard spans
	s := openSystem(t, stateDir(t), func(c *Config) { c.Tracer = NewTracer(0, heard.take) })
	rt := openRuntime(t, s, sandbox.Spec{})
	for _, ctx := range []context.Context{t.Context(), WithTraceparent(t.Context(), strings.TrimSuffix(someParent, "1")+"0")} {
		if _, err := rt.Run(ctx, "true", nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(heard.all) > 0 {
		t.Errorf("there are spans: %v", heard.all)
	}
}

// BenchmarkTrueTraced is one `true` in a system that traces all of them, beside one in a system that traces none.
func BenchmarkTrueTraced(b *testing.B) {
	do := func(change func(*Config)) func() {
		rt := openRuntime(b, openSystem(b, stateDir(b), change), sandbox.Spec{ID: "a"})
		act := sandbox.Action{Args: sandbox.RunArgs{Command: "true", Blocking: true}}
		return func() {
			if _, err := rt.Do(context.Background(), act, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	m := interleave(b, do(nil), do(func(c *Config) { c.Tracer = NewTracer(1, func(Span) {}) }))
	b.ReportMetric(micro(m[0]), "µs/untraced")
	b.ReportMetric(micro(m[1]), "µs/traced")
	b.ReportMetric(float64(m[1])/float64(m[0]), "×untraced")
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
}
