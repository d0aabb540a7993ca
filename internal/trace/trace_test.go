package trace

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParse(t *testing.T) {
	for s, want := range map[string]bool{
		parent: true,
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more": true, // of a version to come
		parent + "-more":        false,
		"ff" + parent[2:]:       false,
		strings.ToUpper(parent): false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01": false,
		parent[:54]: false,
		"":          false,
	} {
		p, ok := Parse(s)
		if ok != want {
			t.Errorf("%q: %v", s, ok)
		}
		if ok && s == parent && (p.String() != parent || !p.Sampled) {
			t.Errorf("%q became %q", s, p)
		}
	}
}

// Where nothing is traced everything is nil, and costs nothing.
func TestNothingCostsNothing(t *testing.T) {
	var none *Tracer
	ctx := context.WithValue(t.Context(), activeKey{}, nil)
	got := testing.AllocsPerRun(100, func() {
		a := none.Begin(ctx, "a")
		b := a.Start("b")
		b.Set("k", "v")
		b.Take(Span{})
		b.Done(nil)
		if With(ctx, b) != ctx || From(ctx) != nil || b.Traceparent() != "" || b.ID() != (SpanID{}) {
			t.Error("nil is something")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestSpans(t *testing.T) {
	var heard []Span
	tr := NewTracer(1, func(s Span) { heard = append(heard, s) })
	p, _ := Parse(parent)
	a := tr.Begin(WithParent(t.Context(), p), "a")
	b := tr.Begin(With(t.Context(), a), "b")
	b.Set("k", "v")
	b.Done(&sandbox.Error{Code: sandbox.Lost})
	b.End()
	a.End()
	if len(heard) != 2 {
		t.Fatalf("%d spans", len(heard))
	}
	if in, out := heard[0], heard[1]; out.Parent != p.Span || in.Parent != out.ID || in.Trace != p.Trace || in.Err != "lost" || len(in.Attrs) != 1 {
		t.Errorf("%+v\n%+v", in, out)
	}
	p.Sampled = false
	if tr.Begin(WithParent(t.Context(), p), "c") != nil || NewTracer(0, nil).Root("d") != nil {
		t.Error("what is not sampled is traced")
	}
}

func TestLinesCarryTheSpan(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(Handler(slog.NewTextHandler(&b, nil))).With("a", 1).WithGroup("g")
	a := NewTracer(1, func(Span) {}).Root("a")
	log.InfoContext(With(t.Context(), a), "yes")
	log.Info("no")
	p, _ := Parse(parent)
	log.InfoContext(WithParent(t.Context(), p), "of another program")
	lines := strings.Split(b.String(), "\n")
	if !strings.Contains(lines[2], "trace_id="+p.Trace.String()) || !strings.Contains(lines[2], "span_id="+p.Span.String()) {
		t.Errorf("%s", lines[2])
	}
	if !strings.Contains(lines[0], "trace_id="+a.TraceID().String()) || !strings.Contains(lines[0], "span_id="+a.ID().String()) ||
		strings.Contains(lines[1], "trace_id") {
		t.Errorf("%s", &b)
	}
}

func TestSteps(t *testing.T) {
	var s Steps
	ctx := WithSteps(t.Context(), &s)
	ctx, outer := Step(ctx, "place")
	_, inner := Step(ctx, "place.spawn")
	inner(nil)
	outer(nil)
	if l := s.List(); len(l) != 2 || l[0].Name != "place.spawn" || l[1].Took < l[0].Took {
		t.Errorf("%+v", l)
	}
	_, end := Step(t.Context(), "nobody notes it")
	end(nil)
}
