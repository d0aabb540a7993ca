package trace

import (
	"context"
	"encoding/hex"
	"log/slog"
)

type (
	activeKey struct{}
	parentKey struct{}
)

// With gives a context whose span is a; that is ctx if a is nil.
func With(ctx context.Context, a *Active) context.Context {
	if a == nil {
		return ctx
	}
	return context.WithValue(ctx, activeKey{}, a)
}

// From is the span of ctx; nil if there is none.
func From(ctx context.Context) *Active {
	a, _ := ctx.Value(activeKey{}).(*Active)
	return a
}

// Parent is what a traceparent says: under which span of another program a span is to be.
type Parent struct {
	Trace   ID
	Span    SpanID
	Sampled bool
}

// Parse reads a traceparent, as of W3C Trace Context; false if it is none, which is then to be passed over.
func Parse(s string) (p Parent, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || len(s) > length && (s[:2] == "00" || s[length] != '-') {
		return p, false
	}
	for i := range length { // capitals are not allowed, which hex does not mind
		if c := s[i]; c >= 'A' && c <= 'F' {
			return p, false
		}
	}
	var flags, version [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], s[:2]}, {p.Trace[:], s[3:35]}, {p.Span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return Parent{}, false
		}
	}
	p.Sampled = flags[0]&1 != 0
	return p, p.Trace != ID{} && p.Span != SpanID{}
}

// String is p as a traceparent.
func (p Parent) String() string {
	flags := "-00"
	if p.Sampled {
		flags = "-01"
	}
	return "00-" + p.Trace.String() + "-" + p.Span.String() + flags
}

// WithParent gives a context in which a Tracer begins spans below p.
func WithParent(ctx context.Context, p Parent) context.Context {
	return context.WithValue(ctx, parentKey{}, p)
}

// Traceparent is what another program is told, so that its spans are below a; "" of nil.
func (a *Active) Traceparent() string {
	if a == nil {
		return ""
	}
	return Parent{a.span.Trace, a.span.ID, true}.String()
}

// Handler gives lines that are logged with the context of a span its names, as trace_id and span_id; also of one that was made
// by another program, which WithParent has told of.
func Handler(h slog.Handler) slog.Handler { return handler{h} }

type handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	p, told := Parent{}, false
	if a := From(ctx); a != nil {
		p.Trace, p.Span, told = a.span.Trace, a.span.ID, true
	} else {
		p, told = ctx.Value(parentKey{}).(Parent)
	}
	if told {
		r.AddAttrs(slog.String("trace_id", p.Trace.String()), slog.String("span_id", p.Span.String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
