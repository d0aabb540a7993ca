package wire_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// An action is known again by its bytes, also by one who has read it from somewhere in between: written, read and written
// again it must be the same. That holds for whatever is in its fields.
func TestActionsAreStable(t *testing.T) {
	stable := func(a sandbox.Action) bool {
		first := wire.AppendAction(nil, a)
		read, err := wire.ParseAction(first)
		if err != nil {
			t.Errorf("%s: %v", first, err)
			return false
		}
		second := wire.AppendAction(nil, read)
		if !bytes.Equal(first, second) {
			t.Errorf("first  %s\nsecond %s", first, second)
		}
		return bytes.Equal(first, second)
	}
	of := func(f any) {
		t.Helper()
		if err := quick.Check(f, &quick.Config{MaxCount: 100}); err != nil {
			t.Error(err)
		}
	}
	of(func(a sandbox.RunArgs, d time.Duration) bool { return stable(sandbox.Action{Args: a, Timeout: d}) })
	of(func(a sandbox.IPythonArgs, d time.Duration) bool { return stable(sandbox.Action{Args: a, Timeout: d}) })
	of(func(a sandbox.ReadArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.WriteArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.BrowseArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(a sandbox.BrowseInteractiveArgs) bool { return stable(sandbox.Action{Args: a}) })
	of(func(name, thought, k, v string) bool {
		args, _ := json.Marshal(map[string]string{k: v})
		return stable(sandbox.Action{Args: sandbox.MCPArgs{Name: name, Thought: thought, Arguments: args}})
	})
	of(func(a sandbox.EditArgs, line *int) bool {
		if a.InsertLine = nil; line != nil {
			raw, _ := json.Marshal(*line)
			a.InsertLine = (*json.RawMessage)(&raw)
		}
		return stable(sandbox.Action{Args: a})
	})
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, meta := range []map[string]json.RawMessage{
		{"id": raw("5"), "source": raw(`"user"`), "zz": raw("{ \"a\" :\n 1 }"), "aa": raw("null")},
		{"message": raw(`"Running command: ls"`)}, {"message": raw(`"\u0052unning command: ls"`)},
		{"args.security_risk": raw("-1"), "args.confirmation_state": raw(`"confirmed"`)},
		{"args.security_risk": raw("2"), "args.confirmation_state": raw(`"rejected"`)},
		{"timeout": raw("7"), "action": raw(`"think"`), "args": raw("{}"), "extras.x": raw("1"), "args.x": raw("1")},
		{"tool_call_metadata": raw("null"), "": raw("1")},
	} {
		stable(sandbox.Action{Args: sandbox.RunArgs{Command: "ls"}, Meta: meta})
	}
}

func TestObservationsAreStable(t *testing.T) {
	of := func(f any) {
		t.Helper()
		if err := quick.Check(f, &quick.Config{MaxCount: 100}); err != nil {
			t.Error(err)
		}
	}
	same := func(content string, r sandbox.Result) bool {
		o := sandbox.Observation{Content: content, Result: r}
		got, err := wire.ParseObservation(wire.AppendObservation(nil, o))
		if err != nil || !reflect.DeepEqual(o, got) {
			t.Errorf("%+v\nreads as %+v, %v", o, got, err)
		}
		return err == nil
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

func TestRequestEvent(t *testing.T) {
	got, err := wire.RequestEvent([]byte(` {"x":1, "action": {"action":"run"} }`))
	if err != nil || string(got) != `{"action":"run"}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, in := range []string{``, `{}`, `[]`, `{"action":"run"}`, `{"action":null}`, `{"action":{}`} {
		_, err := wire.RequestEvent([]byte(in))
		wantCode(t, err, sandbox.Invalid)
	}
}
