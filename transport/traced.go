package transport

import (
	"encoding/hex"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// traced is the trace of a pursuit: a span for each try, and what the server says of its own part. The zero traced is none.
type traced struct {
	span  *trace.Active // of the caller; nil if nothing is traced
	now   *trace.Active // of the try in progress
	tries []trace.SpanID
	begun time.Time // of the first try
	said  bool      // by the server, in answer to this try: it says so once
}

// attempt begins the span of the next try.
func (t *traced) attempt() {
	if t.span == nil {
		return
	}
	t.now = t.span.Start("transport.attempt")
	t.said = false
	t.tries = append(t.tries, t.now.ID())
	t.now.SetInt("attempt", len(t.tries))
	if len(t.tries) == 1 {
		t.begun = t.now.Begun()
	}
}

func (t *traced) attempted(f *failure) {
	if t.now == nil {
		return
	}
	if f == nil {
		t.now.End()
	} else {
		t.now.Done(&sandbox.Error{Code: f.code})
	}
	t.now = nil
}

// took takes spans from the server, which is not to be trusted: they are taken for what they say of this action, below one of
// our tries, and within the time that it took. A clock that differs from ours is put right. Of each try one frame counts.
func (t *traced) took(payload []byte) {
	if t.now == nil || t.said {
		return
	}
	t.said = true
	said, err := wire.ParseSpans(payload)
	if err != nil || len(said) == 0 {
		return // that a trace lacks something is no reason to lose the answer
	}
	known := map[trace.SpanID]bool{}
	for _, id := range t.tries {
		known[id] = true
	}
	first, last := said[0].Begun, said[0].Ended
	for _, s := range said {
		first, last = min(first, s.Begun), max(last, s.Ended)
	}
	shift, begun, now := int64(0), t.begun.UnixNano(), time.Now().UnixNano()
	if first < begun || last > now {
		shift = (begun/2 + now/2) - (first/2 + last/2)
	}
	within := func(at int64) time.Time { return time.Unix(0, min(max(at+shift, begun), now)) }
	for _, s := range said {
		span := trace.Span{Name: s.Name, Err: s.Error, Inside: true,
			Begun: within(s.Begun), Ended: within(s.Ended)}
		if !read(&span.ID, s.ID) || !read(&span.Parent, s.Parent) || known[span.ID] || !known[span.Parent] {
			continue
		}
		known[span.ID] = true
		for k, v := range s.Attributes {
			span.Attrs = append(span.Attrs, trace.Attr{Key: k, Value: v})
		}
		t.now.Take(span)
	}
}

func read(id *trace.SpanID, s string) bool {
	n, err := hex.Decode(id[:], []byte(s))
	return err == nil && n == len(id) && *id != trace.SpanID{}
}
