package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func decodeInto(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

func TestEventTellsWhatItIs(t *testing.T) {
	in := []byte(`{"id":12,"timestamp":"2024-05-06T07:08:09.123456","source":"agent","message":"m","cause":11,"action":"run","args":{"command":"ls"},"sandtree":{"seq":3}}`)
	e, err := wire.ParseEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	in[2] = 'X' // the event has its own copy
	id, _ := e.ID()
	cause, _ := e.Cause()
	if id != 12 || cause != 11 || e.Source() != "agent" || e.Message() != "m" || e.Kind() != sandbox.KindRun || !e.IsAction() {
		t.Errorf("%+v", e)
	}
	if want := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC); !e.Time().Equal(want) {
		t.Errorf("time %v, want %v", e.Time(), want)
	}
	if string(e.Get("sandtree")) != `{"seq":3}` || e.Get("nothing") != nil {
		t.Errorf("members %s, %s", e.Get("sandtree"), e.Get("nothing"))
	}
	a, err := e.Action()
	if run, ok := a.Args.(sandbox.RunArgs); err != nil || !ok || run.Command != "ls" {
		t.Errorf("action %+v, %v", a, err)
	}
	if _, err := e.Observation(); true {
		wantCode(t, err, sandbox.Invalid)
	}
	changed := e.With("id", json.RawMessage("13")).With("cause", nil).With("new", json.RawMessage("[]"))
	if id, _ := changed.ID(); id != 13 || changed.Get("cause") != nil || string(changed.Get("new")) != "[]" {
		t.Errorf("changed to %s", changed.Append(nil))
	}
	if id, _ := e.ID(); id != 12 || e.Get("cause") == nil {
		t.Error("With changed the event itself")
	}
	b, err := json.Marshal([]wire.Event{e})
	var back []wire.Event
	if decodeInto(t, b, &back); err != nil || len(back) != 1 || !bytes.Equal(back[0].Append(nil), e.Append(nil)) {
		t.Errorf("through encoding/json: %s, %v", b, err)
	}
	if b, err := json.Marshal(wire.Event{}); string(b) != "{}" || err != nil {
		t.Errorf("the zero event is %s, %v", b, err)
	}
}

func TestEventsOfWhatWeMake(t *testing.T) {
	e := wire.ObservationEvent(sandbox.Failed(sandbox.ErrorInterrupted, "cut off"))
	if e.IsAction() || e.Kind() != sandbox.KindError {
		t.Errorf("%s", e.Append(nil))
	}
	if o, err := e.Observation(); err != nil || !o.Interrupted() || o.Content != "cut off" {
		t.Errorf("%+v, %v", o, err)
	}
	e = wire.ActionEvent(sandbox.Action{ID: "not in it", Args: sandbox.BrowseArgs{URL: "u"}})
	if !e.IsAction() || e.Kind() != sandbox.KindBrowse || e.Get("id") != nil || !e.Time().IsZero() {
		t.Errorf("%s", e.Append(nil))
	}
	if o, err := wire.ParseObservation(wire.AppendObservation(nil, sandbox.Observation{})); err != nil || o.Kind() != sandbox.KindNull {
		t.Errorf("the zero observation reads as %+v, %v", o, err)
	}
}

func TestBadTextIsReplacedNotWritten(t *testing.T) {
	out := wire.AppendObservation(nil, sandbox.Observation{Content: "a\xffb\xc3", Result: sandbox.WriteResult{Path: "\xfe"}})
	o, err := wire.ParseObservation(out)
	if err != nil || o.Content != "a\uFFFDb\uFFFD" || o.Result.(sandbox.WriteResult).Path != "\uFFFD" {
		t.Errorf("%q, %v", out, err)
	}
	for _, in := range []string{"{\"action\":\"run\",\"args\":{\"command\":\"\xff\"}}", "{\"action\":\"run\",\"args\":{\"command\":\"\x00\"}}", "\xef\xbb\xbf{}"} {
		_, err := wire.ParseAction([]byte(in))
		wantCode(t, err, sandbox.Invalid)
		_, err = wire.ParseEvent([]byte(in))
		wantCode(t, err, sandbox.Invalid)
	}
	a := sandbox.Action{Args: sandbox.OtherArgs{Type: "think", Raw: json.RawMessage("{\n\"broken\"")}}
	if out := wire.AppendAction(nil, a); !json.Valid(out) {
		t.Errorf("%s", out)
	}
}

func TestMessagesOfFailureAreShort(t *testing.T) {
	long := strings.Repeat("é", 1<<17)
	_, err := wire.ParseAction([]byte(`{"action":"run","args":{"cmd":"` + long + `","x":["` + long + `"]}}`))
	if n := len(err.Error()); n > 10_000 {
		t.Errorf("%d bytes", n)
	}
}

func TestTrajectories(t *testing.T) {
	const a, o = `{"action":"think","args":{}}`, `{"observation":"null","content":""}`
	for name, in := range map[string]string{
		"array":           " [" + a + ",\n" + o + "]\n",
		"lines":           a + "\n\n" + o,
		"history":         `{"instance_id":"x","history":[` + a + `,` + o + `]}`,
		"pairs":           `{"history":[[` + a + `,` + o + `]]}`,
		"trajectory":      `{"trajectory":[` + a + `,` + o + `]}`,
		"events":          `{"has_more":false,"events":[` + a + `,` + o + `]}`,
		"member history":  strings.Replace(a, "{", `{"history":[],`, 1) + o,
		"array, indented": "[\n  {\n    \"action\": \"think\",\n    \"args\": {}\n  },\r\n" + o + "]",
	} {
		events, err := wire.ReadTrajectory(iotest.OneByteReader(strings.NewReader(in)))
		if err != nil || len(events) != 2 || events[0].Kind() != "think" || events[1].Kind() != "null" {
			t.Errorf("%s: %v, %v", name, events, err)
			continue
		}
		var out bytes.Buffer
		if err := wire.WriteTrajectory(&out, events); err != nil {
			t.Error(err)
		}
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 4 {
			t.Errorf("%s: written as %q", name, out.String())
		}
	}
	for _, in := range []string{"", "[]"} {
		if events, err := wire.ReadTrajectory(strings.NewReader(in)); err != nil || len(events) != 0 {
			t.Errorf("%q: %v, %v", in, events, err)
		}
	}
	for _, in := range []string{`[` + a, `[` + a + `]` + o, `[1]`, `{"history":5}`, `x`, `[[[` + a + `]]]`, `{"history":[]}{"history":[]}`, "\xff"} {
		_, err := wire.ReadTrajectory(strings.NewReader(in))
		wantCode(t, err, sandbox.Invalid)
	}
	_, err := wire.ReadTrajectory(iotest.ErrReader(errors.New("disk on fire")))
	wantCode(t, err, sandbox.Internal)
}

func TestRunnable(t *testing.T) {
	for k, want := range map[sandbox.Kind]bool{"run": true, "call_tool_mcp": true, "browse_interactive": true, "think": false, "null": false, "": false} {
		if wire.Runnable(k) != want {
			t.Errorf("Runnable(%q) = %v", k, !want)
		}
	}
}
