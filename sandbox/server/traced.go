package server

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// The server exports nothing. Who sends a traceparent that is sampled with an action gets what the server spent its time on
// back as spans, before the last frame of the answer or, in the OpenHands form, in its head, and exports them with his own. They
// are not kept with the answer: the ledger has what was seen, not how long it took. Lines of the log have the trace's id in any
// case, also where nobody looks at spans.

// tracedBy is the span that a request is made under; zero if it does not say.
func tracedBy(ctx *fasthttp.RequestCtx) trace.Parent {
	v := ctx.Request.Header.Peek(wire.HeaderTrace)
	if len(v) == 0 {
		return trace.Parent{}
	}
	p, _ := trace.Parse(string(v))
	return p
}

// traced is what is noted of an action for a trace; the zero traced notes nothing.
type traced struct {
	by       trace.Parent
	id       trace.SpanID // of our part
	received time.Time
	spans    []wire.Span // once the action is done; none if nobody looks at them
}

func begunBy(by trace.Parent) traced {
	if by == (trace.Parent{}) {
		return traced{}
	}
	return traced{by: by, id: trace.NewSpanID(), received: time.Now()}
}

// in gives a context with which lines of the log have the names of the trace and of our part.
func (t *traced) in(ctx context.Context) context.Context {
	if t.received.IsZero() {
		return ctx
	}
	return trace.WithParent(ctx, trace.Parent{Trace: t.by.Trace, Span: t.id})
}

// tell makes the spans of an action that has come to its end: one for the server's part, and below it one for the wait until
// its turn and one for the performing, which is a process or something like it. turn is when that came; zero if it never did.
func (s *Server) tell(t *traced, a sandbox.Action, turn time.Time, o sandbox.Observation, err error) {
	if t.received.IsZero() {
		return
	}
	if t.by.Sampled {
		t.spans = t.spansOf(a, turn, o, err)
	}
	s.log.DebugContext(t.in(s.life), "action done", "action", a.ID, "kind", a.Kind(), "err", err)
}

func (t *traced) spansOf(a sandbox.Action, turn time.Time, o sandbox.Observation, err error) []wire.Span {
	now, never := time.Now(), turn.IsZero()
	if never {
		turn = now
	}
	said := map[string]string{"kind": string(a.Kind())}
	if a.Session != "" {
		said["session"] = a.Session
	}
	whole := wire.Span{Name: "sandboxd.action", ID: t.id.String(), Parent: t.by.Span.String(),
		Begun: t.received.UnixNano(), Ended: now.UnixNano(), Attributes: said, Error: string(sandbox.CodeOf(err))}
	spans := []wire.Span{whole, {Name: "sandboxd.wait", ID: trace.NewSpanID().String(), Parent: whole.ID,
		Begun: whole.Begun, Ended: turn.UnixNano()}}
	if never {
		return spans
	}
	said = maps.Clone(said)
	said["outcome"] = outcomeNames[outcomeOf(o, err)]
	if r, ok := o.Result.(sandbox.RunResult); ok {
		said["exit_code"] = strconv.Itoa(r.Metadata.ExitCode)
	}
	return append(spans, wire.Span{Name: "process", ID: trace.NewSpanID().String(), Parent: whole.ID,
		Begun: turn.UnixNano(), Ended: now.UnixNano(), Attributes: said, Error: whole.Error})
}
