// Package trace says where the time goes: spans, which are exported by whoever hands a Tracer in, and the steps of a start,
// which are always noted.
//
// A span is a plain value with the names of W3C Trace Context, so that the server in a sandbox can make some and send them
// back without linking an exporter (docs/protocol.md). It goes down in a context, or with a message. Where nothing is
// traced everything is nil, and every method works on nil and does nothing.
package trace

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// ID names a trace, SpanID a span of one. Zero is none.
type (
	ID     [16]byte
	SpanID [8]byte
)

func (id ID) String() string     { return hex.EncodeToString(id[:]) }
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// Span is a span that has ended.
type Span struct {
	Name         string
	Trace        ID
	ID, Parent   SpanID // Parent is zero for the first of a trace
	Begun, Ended time.Time
	Attrs        []Attr
	Err          string // the code of what failed; "" if nothing did
	Inside       bool   // it was made in the sandbox, and what it says is the sandbox's word
}

// Attr is something said of a span.
type Attr struct{ Key, Value string }

// A Tracer begins traces. A nil Tracer begins none. Safe for concurrent use.
type Tracer struct {
	sample float64
	sink   func(Span)
}

// NewTracer gives a Tracer that hands a share of traces to sink: sample is from 0, none, to 1, all. sink must not wait, and is
// called from any goroutine.
func NewTracer(sample float64, sink func(Span)) *Tracer { return &Tracer{sample, sink} }

// Begin begins a span below that of ctx, or below the traceparent that ctx was given, or a trace of its own. It is nil if
// that trace is none of the sample.
func (t *Tracer) Begin(ctx context.Context, name string) *Active {
	if t == nil {
		return nil
	}
	if a := From(ctx); a != nil {
		return a.Start(name)
	}
	if p, ok := ctx.Value(parentKey{}).(Parent); ok {
		if !p.Sampled {
			return nil
		}
		return t.begin(name, p.Trace, p.Span)
	}
	return t.Root(name)
}

// Root begins a trace; nil if it is none of the sample.
func (t *Tracer) Root(name string) *Active {
	if t == nil || t.sample < 1 && rand.Float64() >= t.sample {
		return nil
	}
	var id ID
	fill(id[:])
	return t.begin(name, id, SpanID{})
}

func (t *Tracer) begin(name string, trace ID, parent SpanID) *Active {
	return &Active{tracer: t, span: Span{Name: name, Trace: trace, ID: NewSpanID(), Parent: parent, Begun: time.Now()}}
}

// NewSpanID makes the name of a span.
func NewSpanID() (id SpanID) {
	fill(id[:])
	return id
}

// fill makes a name, which is never zero. It need not be hard to guess.
func fill(b []byte) {
	for i := 0; i < len(b); i += 8 {
		n := rand.Uint64() | 1
		for j := range 8 {
			b[i+j] = byte(n >> (8 * j))
		}
	}
}

// Active is a span that has not ended. One goroutine at a time may say something of it; any may begin a span below it.
type Active struct {
	tracer *Tracer
	span   Span
	over   atomic.Bool
}

// Start begins a span below a.
func (a *Active) Start(name string) *Active {
	if a == nil {
		return nil
	}
	return a.tracer.begin(name, a.span.Trace, a.span.ID)
}

// Set says something of the span.
func (a *Active) Set(key, value string) {
	if a != nil && !a.over.Load() {
		a.span.Attrs = append(a.span.Attrs, Attr{key, value})
	}
}

// SetInt is Set for a number.
func (a *Active) SetInt(key string, n int) {
	if a != nil {
		a.Set(key, strconv.Itoa(n))
	}
}

// End ends the span. Of several calls the first counts.
func (a *Active) End() { a.Done(nil) }

// Done ends the span, which failed if err is not nil.
func (a *Active) Done(err error) {
	if a == nil || !a.over.CompareAndSwap(false, true) {
		return
	}
	a.span.Ended = time.Now()
	if err != nil {
		a.span.Err = string(sandbox.CodeOf(err)) // its text may hold what is nobody's business
	}
	a.tracer.sink(a.span)
}

// Take adds spans that somebody else has made to the trace of a.
func (a *Active) Take(spans ...Span) {
	if a == nil {
		return
	}
	for _, s := range spans {
		s.Trace = a.span.Trace
		a.tracer.sink(s)
	}
}

// ID is the span's name; zero of nil.
func (a *Active) ID() SpanID {
	if a == nil {
		return SpanID{}
	}
	return a.span.ID
}

// TraceID is the name of the trace; zero of nil.
func (a *Active) TraceID() ID {
	if a == nil {
		return ID{}
	}
	return a.span.Trace
}

// Begun is when the span began.
func (a *Active) Begun() time.Time {
	if a == nil {
		return time.Time{}
	}
	return a.span.Begun
}
