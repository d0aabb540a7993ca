package server

import (
	"maps"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// The server exports nothing. Who sends a traceparent that is sampled with an action gets what the server spent its time on
// back as spans, before the last frame of the answer, and exports them with his own. They are not kept with the answer: the
// ledger has what was seen, not how long it took.

// tracedBy is the span that a request is made under; zero if it does not say, or if nobody looks at it.
func tracedBy(ctx *fasthttp.RequestCtx) trace.Parent {
	v := ctx.Request.Header.Peek(wire.HeaderTrace)
	if len(v) == 0 {
		return trace.Parent{}
	}
	if p, ok := trace.Parse(string(v)); ok && p.Sampled {
		return p
	}
	return trace.Parent{}
}

// traced is what is noted of an action for a trace; the zero traced notes nothing.
type traced struct {
	by       trace.Parent
	received time.Time
	spans    []byte // the frame, once the action is done
}

func (t *traced) begin(by trace.Parent) {
	if by.Sampled {
		t.by, t.received = by, time.Now()
	}
}

// tell makes the spans of an action that has come to its end: one for the server's part, and below it one for the wait until
// its turn and one for the performing, which is a process or something like it.
func (s *Server) tell(act *action, o sandbox.Observation, err error) {
	t := &act.traced
	if !t.by.Sampled {
		return
	}
	kind, now := string(act.Kind()), time.Now()
	said := map[string]string{"kind": kind}
	if act.Session != "" {
		said["session"] = act.Session
	}
	whole := wire.Span{Name: "sandboxd.action", ID: trace.NewSpanID().String(), Parent: t.by.Span.String(),
		Begun: t.received.UnixNano(), Ended: now.UnixNano(), Attributes: said, Error: string(sandbox.CodeOf(err))}
	turn := act.doing.at
	if turn.IsZero() { // it never came
		turn = now
	}
	spans := []wire.Span{whole, {Name: "sandboxd.wait", ID: trace.NewSpanID().String(), Parent: whole.ID,
		Begun: whole.Begun, Ended: turn.UnixNano()}}
	if !act.doing.at.IsZero() {
		said = maps.Clone(said)
		said["outcome"] = outcomeNames[outcomeOf(o, err)]
		if r, ok := o.Result.(sandbox.RunResult); ok {
			said["exit_code"] = strconv.Itoa(r.Metadata.ExitCode)
		}
		spans = append(spans, wire.Span{Name: "process", ID: trace.NewSpanID().String(), Parent: whole.ID,
			Begun: turn.UnixNano(), Ended: now.UnixNano(), Attributes: said, Error: whole.Error})
	}
	t.spans = wire.AppendSpans(nil, spans)
	s.log.Debug("action done", "action", act.ID, "kind", kind, "trace_id", t.by.Trace.String(), "span_id", whole.ID, "err", err)
}
