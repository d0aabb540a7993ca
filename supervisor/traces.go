package supervisor

import (
	"context"

	"github.com/sandtree/sandtree/internal/trace"
)

// Tracer begins traces of what a System does: of each action one that goes from Do over the actors and the connection to
// the server in the sandbox and the command itself, and of each start one with a span for each of its phases. A nil Tracer
// begins none, and costs nothing. Package instruments has one that exports them by OTLP.
type Tracer = trace.Tracer

// Span is one span of a trace, that has ended. Attr is something that is said of it.
type (
	Span = trace.Span
	Attr = trace.Attr
)

// NewTracer gives a Tracer that hands a share of traces, 0 to 1, to sink, span by span as they end. sink must not wait, and is
// called from any goroutine.
func NewTracer(sample float64, sink func(Span)) *Tracer { return trace.NewTracer(sample, sink) }

// WithTraceparent gives a context in which what is asked of a System belongs to the trace of another program, as its
// traceparent (W3C Trace Context) names it, and is traced if that says so. What is no traceparent is passed over.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if p, ok := trace.Parse(traceparent); ok {
		return trace.WithParent(ctx, p)
	}
	return ctx
}

// The names of spans.
const (
	spanDo   = "supervisor.do"
	spanOpen = "supervisor.open"
)
