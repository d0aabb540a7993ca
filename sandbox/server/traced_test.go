package server_test

import (
	"io"
	"strconv"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// traced asks with a traceparent, if there is one, and gives what comes, by type.
func (b *box) traced(method, id, body, traceparent string) map[byte][]byte {
	b.t.Helper()
	var header []string
	if traceparent != "" {
		header = []string{wire.HeaderTrace, traceparent}
	}
	resp, err := b.client.Do(b.request(method, wire.PathActions+id, body, header...))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	got := map[byte][]byte{}
	for r := wire.NewFrameReader(resp.Body); ; {
		f, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if got['d'] != nil {
			b.t.Errorf("a frame %q comes after the last one", f.Type)
		}
		got[f.Type] = append([]byte{}, f.Payload...)
	}
}

func ordered(command string) string {
	return string(wire.AppendNativeAction(nil, sandbox.Action{Args: run(command)}))
}

// Spans come to those who ask for them, at once and in a stream, and nobody else sees a difference.
func TestSpansComeBack(t *testing.T) {
	const sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b := start(t, nil)
	for id, command := range map[string]string{"soon": "true", "late": "sleep 0.3"} {
		got := b.traced("POST", id, ordered(command), sampled)
		spans, err := wire.ParseSpans(got[wire.FrameSpans])
		if err != nil || len(spans) != 3 || got[wire.FrameDone] == nil {
			t.Fatalf("%s: %+v, %v", id, spans, err)
		}
		whole, wait, process := spans[0], spans[1], spans[2]
		if whole.Parent != "00f067aa0ba902b7" || wait.Parent != whole.ID || process.Parent != whole.ID || process.Name != "process" ||
			process.Attributes["exit_code"] != "0" || whole.Begun > wait.Begun || process.Ended > whole.Ended {
			t.Errorf("%s: %+v", id, spans)
		}
		if again := b.traced("GET", id, "", sampled); len(again[wire.FrameSpans]) == 0 {
			t.Errorf("%s: who joins gets no spans", id)
		}
		if again := b.traced("GET", id, "", ""); again[wire.FrameSpans] != nil {
			t.Errorf("%s: spans for one who did not ask", id)
		}
	}
	for i, traceparent := range []string{"", "nonsense", sampled[:len(sampled)-1] + "0"} {
		if got := b.traced("POST", "n"+strconv.Itoa(i), ordered("true"), traceparent); got[wire.FrameSpans] != nil {
			t.Errorf("spans for %q", traceparent)
		}
	}
}
