package wire_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// bothWays checks that an event that both forms can say is the same after it went from either to the other and back.
func bothWays(t *testing.T, in []byte) {
	t.Helper()
	if a, err := wire.ParseAction(in); err == nil {
		sameAction(t, a)
		return
	}
	o, err := wire.ParseObservation(in)
	if err != nil {
		return
	}
	sameObservation(t, o)
}

func sameAction(t *testing.T, a sandbox.Action) {
	t.Helper()
	native := wire.AppendNativeAction(nil, a)
	wantJSON(t, native)
	b, err := wire.ParseNativeAction(native)
	if err != nil {
		t.Fatalf("%s: %v", native, err)
	}
	if openHands := wire.AppendAction(nil, a); !bytes.Equal(openHands, wire.AppendAction(nil, b)) {
		t.Fatalf("%s\nbecomes %s\nand then %s", openHands, native, wire.AppendAction(nil, b))
	}
	if !bytes.Equal(native, wire.AppendNativeAction(nil, b)) {
		t.Fatalf("%s\nis written again as %s", native, wire.AppendNativeAction(nil, b))
	}
}

func sameObservation(t *testing.T, o sandbox.Observation) {
	t.Helper()
	native := wire.AppendNativeObservation(nil, o, time.Time{})
	wantJSON(t, native)
	again, err := wire.ParseNativeObservation(native)
	if err != nil || !reflect.DeepEqual(o, again) {
		t.Fatalf("%+v\nbecomes %s\nwhich reads as %+v, %v", o, native, again, err)
	}
}

func TestEveryGoldenIsTheSameInBothForms(t *testing.T) {
	n := 0
	for _, in := range append(goldens(t, "actions"), goldens(t, "observations")...) {
		bothWays(t, in)
		e, err := wire.ParseEvent(in)
		if err != nil {
			continue
		}
		native, err := e.AppendNative(nil)
		if err != nil { // one that OpenHands' server refuses too
			continue
		}
		n++
		back, err := wire.ParseNativeEvent(native)
		if err != nil || back.Kind() != e.Kind() || back.IsAction() != e.IsAction() || !bytes.Equal(back.Get("id"), e.Get("id")) || !back.Time().Equal(e.Time()) {
			t.Errorf("%s\nbecomes %s\nand then %s, %v", in, native, back.Append(nil), err)
		}
	}
	if n < 100 {
		t.Errorf("only %d events were tried", n)
	}
}

func TestNativeActionsAreStable(t *testing.T) {
	of := func(f any) {
		t.Helper()
		if err := quick.Check(f, &quick.Config{MaxCount: 200}); err != nil {
			t.Error(err)
		}
	}
	stable := func(a sandbox.Action) bool { sameAction(t, a); return !t.Failed() }
	of(func(a sandbox.RunArgs, d time.Duration) bool {
		return stable(sandbox.Action{Args: a, Timeout: d, Session: "s1"})
	})
	of(func(a sandbox.IPythonArgs, d time.Duration) bool { return stable(sandbox.Action{Args: a, Timeout: d}) })
	of(func(a sandbox.ReadArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.WriteArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.BrowseArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.BrowseInteractiveArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.EditArgs) bool { a.InsertLine = nil; return stable(sandbox.Action{Args: a}) })
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, meta := range []map[string]json.RawMessage{
		{"id": raw("5"), "source": raw(`"user"`), "zz": raw("{ \"a\" :\n 1 }"), "aa": raw("null")},
		{"id": raw("{}"), "cause": raw("null"), "source": raw(`"environment"`), "timestamp": raw(`"2026-02-29T00:00:00"`)},
		{"timestamp": raw(`"2024-02-29T23:59:59.123456789"`)}, {"timestamp": raw(`"2024-01-02"`)}, {"timestamp": raw("1.5")},
		{"message": raw(`"Running command: ls"`)}, {"message": raw(`"\u0052unning command: ls"`)},
		{"args.security_risk": raw("2"), "args.confirmation_state": raw(`"rejected"`)},
		{"type": raw(`"x"`), "content": raw("1"), "meta": raw(`{"meta":{}}`)},
		{"tool_call_metadata": raw("null"), "": raw("1")},
	} {
		sameAction(t, sandbox.Action{Args: sandbox.RunArgs{Command: "ls"}, Meta: meta})
	}
}

func TestNativeObservationsAreStable(t *testing.T) {
	of := func(f any) {
		t.Helper()
		if err := quick.Check(f, &quick.Config{MaxCount: 200}); err != nil {
			t.Error(err)
		}
	}
	same := func(c string, r sandbox.Result) bool {
		sameObservation(t, sandbox.Observation{Content: c, Result: r})
		return !t.Failed()
	}
	of(func(c string, r sandbox.RunResult) bool { return same(c, r) })
	of(func(c, code string, urls []string, shown map[string]string) bool {
		r := sandbox.IPythonResult{Code: code, ImageURLs: urls}
		if len(shown) > 0 {
			r.Displays, _ = json.Marshal([]map[string]string{shown})
		}
		return same(c, r)
	})
	of(func(c string, r sandbox.ReadResult) bool { return r.Impl == "" || same(c, r) })
	of(func(c string, r sandbox.WriteResult) bool { return same(c, r) })
	of(func(c string, r sandbox.EditResult) bool { return r.Impl == "" || same(c, r) })
	of(func(c string, r sandbox.ErrorResult) bool { return same(c, r) })
	of(func(c string) bool { return same(c, sandbox.SuccessResult{}) && same(c, sandbox.NullResult{}) })
}

func TestNativeObservationOfAServer(t *testing.T) {
	made := time.Date(2026, 1, 2, 4, 4, 5, 678e6, time.FixedZone("", 3600))
	o := sandbox.Observation{Content: "a", Result: sandbox.RunResult{Command: "echo a", Metadata: sandbox.RunMetadata{PID: -1}}}
	got := string(wire.AppendNativeObservation(nil, o, made))
	want := `{"type":"observation.run","content":{"text":"a","extras":{"command":"echo a","metadata":{"exit_code":0}}},"timestamp":"2026-01-02T03:04:05.678Z","source":"runtime"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	old := string(wire.ReformObservation([]byte(got), false))
	want = `{"message":"Command ` + "`echo a`" + ` executed with exit code 0.","observation":"run","content":"a","extras":{"command":"echo a","metadata":{"exit_code":0,"pid":-1,"username":null,"hostname":null,"working_dir":null,"py_interpreter_path":null,"prefix":"","suffix":""},"hidden":false},"success":true}`
	if old != want {
		t.Errorf("got  %s\nwant %s", old, want)
	}
	back, ok := strings.CutSuffix(got, `,"timestamp":"2026-01-02T03:04:05.678Z","source":"runtime"}`)
	if again := string(wire.ReformObservation([]byte(old), true)); !ok || again != back+"}" {
		t.Errorf("back comes %s", again)
	}
}

// What a native event may not be, and what is said about it.
func TestNativeRefusals(t *testing.T) {
	for in, want := range map[string]string{
		`{`:                                     "ends early",
		`[]`:                                    "an event must be an object, not a list",
		`{"content":{}}`:                        "needs a 'type'",
		`{"type":"jump"}`:                       `no action of type "jump"`,
		`{"type":"observation.run"}`:            "is an observation",
		`{"type":"run"}`:                        "the content of run lacks 'command'",
		`{"type":"run","content":[]}`:           "must be an object",
		`{"type":"run","content":{"cmd":"ls"}}`: "the content of run has no member",
		`{"type":"run","content":{"command":"a","keep_prompt":true}}`:             "has no member",
		`{"type":"run","content":{"command":1}}`:                                  "'command' must be a string, not a number",
		`{"type":"run","content":{"command":"a"},"timout":3}`:                     `no member "timout"`,
		`{"type":"run","content":{"command":"a"},"source":"user"}`:                `'source' must be "agent", "runtime" or "controller"`,
		`{"type":"run","content":{"command":"a"},"timestamp":"yesterday"}`:        "RFC 3339",
		`{"type":"run","content":{"command":"a"},"timestamp":"2026-01-01T00:00"}`: "RFC 3339",
		`{"type":"run","content":{"command":"a"},"session":"a b"}`:                "'session'",
		`{"type":"run","content":{"command":"a"},"session":5}`:                    "'session' must be a string",
		`{"type":"run","content":{"command":"a"},"timeout":"5"}`:                  "'timeout' must be a number",
		`{"type":"run","content":{"command":"a"},"id":{}}`:                        "'id' must be",
		`{"type":"run","content":{"command":"a"},"meta":1}`:                       "'meta' must be an object",
		`{"type":"run","content":{"command":"a"},"meta":{"source":"me"}}`:         "EventSource",
	} {
		_, err := wire.ParseNativeAction([]byte(in))
		wantCode(t, err, sandbox.Invalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", in, err, want)
		}
	}
	_, err := wire.ParseNativeObservation([]byte(`{"type":"run","content":{"command":"a"}}`))
	wantCode(t, err, sandbox.Invalid)
}

// A zone other than UTC is understood, and written as UTC.
func TestNativeTimeInAnotherZone(t *testing.T) {
	a, err := wire.ParseNativeAction([]byte(`{"type":"null","timestamp":"2026-01-01T01:00:00.5+02:00"}`))
	if err != nil || string(a.Meta["timestamp"]) != `"2025-12-31T23:00:00.5"` {
		t.Errorf("%s, %v", a.Meta["timestamp"], err)
	}
}

func TestIsNative(t *testing.T) {
	for in, want := range map[string]bool{
		`{"type":"run"}`: true, ` { "content":{}, "type" :"run"}`: true, `{"action":"run"}`: false, `{"args":{},"type":"x","action":"run"}`: false,
		`{}`: false, `[`: false, `"type"`: false, ``: false,
	} {
		if wire.IsNative([]byte(in)) != want {
			t.Errorf("%s: not %v", in, want)
		}
	}
}
