package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

const (
	sampled   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	unsampled = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
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
	for i, traceparent := range []string{"", "nonsense", unsampled} {
		if got := b.traced("POST", "n"+strconv.Itoa(i), ordered("true"), traceparent); got[wire.FrameSpans] != nil {
			t.Errorf("spans for %q", traceparent)
		}
	}
}

// executeTraced asks in the OpenHands form, and gives the body and the spans in the head.
func (b *box) executeTraced(event, traceparent string) (body string, spans string) {
	b.t.Helper()
	resp, err := b.client.Do(b.request("POST", "/execute_action", `{"action":`+event+`}`, wire.HeaderTrace, traceparent))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(got), resp.Header.Get(wire.HeaderSpans)
}

// In the OpenHands form spans are in the head of the answer, whose body is that of one who did not ask, byte for byte.
func TestSpansComeBackInTheHead(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct{ event, kind, exit, outcome, failure string }{
		{`{"action":"run","args":{"command":"(exit 3)"}}`, "run", "3", "failed", ""},
		{`{"action":"run","args":{"command":"cat nothing","is_static":true}}`, "run", "1", "failed", ""},
		{`{"action":"write","args":{"path":"a","content":"b"}}`, "write", "", "done", ""},
		{`{"action":"read","args":{"path":"/none/such"}}`, "read", "", "failed", ""},
	} {
		_, plain := b.execute(c.event)
		body, head := b.executeTraced(c.event, sampled)
		if body != plain {
			t.Errorf("%s: the body is\n%s\nand without a trace\n%s", c.event, body, plain)
		}
		spans, err := wire.ParseSpans([]byte(head))
		if err != nil || len(spans) != 3 {
			t.Fatalf("%s: %s: %v", c.event, head, err)
		}
		whole, wait, process := spans[0], spans[1], spans[2]
		if whole.Name != "sandboxd.action" || whole.Parent != "00f067aa0ba902b7" || wait.Parent != whole.ID || process.Parent != whole.ID ||
			process.Attributes["kind"] != c.kind || process.Attributes["exit_code"] != c.exit || process.Attributes["outcome"] != c.outcome ||
			process.Error != c.failure || whole.Begun > wait.Begun || process.Ended > whole.Ended {
			t.Errorf("%s: %+v", c.event, spans)
		}
	}
	for _, traceparent := range []string{"", "nonsense", unsampled} {
		if _, head := b.executeTraced(`{"action":"run","args":{"command":"true"}}`, traceparent); head != "" {
			t.Errorf("%q: %s", traceparent, head)
		}
	}
}

// logged is what a server logs, line by line.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// of gives the lines with that message.
func (l *logged) of(t *testing.T, message string) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.b.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m["msg"] == message {
			all = append(all, m)
		}
	}
	return all
}

// Lines about an action have the id of its trace in either form, also if nobody looks at the spans, and that of the span that comes
// back; the others have none.
func TestLinesHaveTheTrace(t *testing.T) {
	log := &logged{}
	b := start(t, func(c *server.Config) {
		c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const event = `{"action":"run","args":{"command":"true"}}`
	_, head := b.executeTraced(event, sampled)
	b.executeTraced(event, unsampled)
	native := b.traced(http.MethodPost, "a", ordered("true"), sampled)
	b.traced(http.MethodPost, "b", ordered("true"), unsampled)
	b.execute(event)
	b.traced(http.MethodPost, "c", ordered("true"), "")
	lines := log.of(t, "action done")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for i, spans := range []string{head, "", string(native[wire.FrameSpans]), ""} {
		want := sampled[3:35]
		if spans == "" {
			want = unsampled[3:35]
		}
		if lines[i]["trace_id"] != want {
			t.Errorf("line %d has the trace %v, want %s", i, lines[i]["trace_id"], want)
		}
		if spans == "" {
			continue
		}
		got, err := wire.ParseSpans([]byte(spans))
		if err != nil || lines[i]["span_id"] != got[0].ID {
			t.Errorf("line %d has the span %v: %v, %v", i, lines[i]["span_id"], got, err)
		}
	}
}
