package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// a story with everything in it: talk, a recorded observation, a failing command, an edit, the death of the sandbox.
const tale = `[
{"id":0,"source":"user","action":"message","args":{"content":"Make it so."},"message":"Make it so."},
{"id":1,"source":"agent","action":"run","args":{"command":"echo one > file; cat file; bash -c 'exit 3'","thought":"I begin."}},
{"id":2,"source":"agent","cause":1,"observation":"run","content":"recorded","extras":{"command":"x","metadata":{"exit_code":0}}},
{"id":3,"source":"agent","action":"write","args":{"path":"other","content":"two\n"}},
{"id":4,"source":"agent","action":"run","args":{"command":"kill -9 $SANDBOXD_PID"}},
{"id":5,"source":"agent","action":"run","args":{"command":"cat file other"}},
{"id":6,"source":"agent","action":"future_kind","args":{"x":[1]}},
{"id":7,"source":"agent","action":"finish","args":{"final_thought":"It is so."}}
]`

func (u *user) file(name, content string) string {
	u.t.Helper()
	path := filepath.Join(u.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

func TestAStoryGoesOnAfterTheDeathOfItsSandbox(t *testing.T) {
	u := newUser(t)
	u.file("tale.json", tale)
	r := u.run("run", "--id", "tale", "--trajectory", "tale.json", "--export", "again.json").want(t, 0,
		"Make it so.", "# I begin.", "▸ run", "one\n", "✘ exit 3", "▸ write   other", "restarting, 1 of", "ready again",
		"⚠ interrupted", "one\ntwo\n", "✔ exit 0", "future_kind", "It is so.", "4 actions, 1 failed, 1 interrupted, 1 restart")
	if strings.Contains(r.out, "recorded") {
		t.Errorf("a recorded observation is told:\n%s", r.out)
	}
	if strings.Contains(r.out, "\x1b[") {
		t.Error("there is colour, and no terminal")
	}
	u.run("events", "tale").want(t, 0, "restart", "1 of", "interrupted", "two")

	b, err := os.ReadFile(filepath.Join(u.home, "again.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkTrajectory(t, string(b))
	if r := u.run("events", "tale", "--trajectory").want(t, 0); r.out != string(b) {
		t.Errorf("events --trajectory differs from --export:\n%s\n%s", r.out, b)
	}
	u.run("run", "--trajectory", "again.json").want(t, 0, "4 actions, 1 failed, 1 interrupted, 1 restart")
}

func checkTrajectory(t *testing.T, s string) {
	t.Helper()
	events, err := wire.ReadTrajectory(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for i, e := range events {
		if id, ok := e.ID(); !ok || id != int64(i) || e.Time().IsZero() || e.Source() == "" {
			t.Errorf("event %d: %s", i, e.Append(nil))
		}
		kind := string(e.Kind())
		if !e.IsAction() {
			kind = "-" + kind
			if cause, ok := e.Cause(); !ok || cause != int64(i-1) {
				t.Errorf("event %d has cause %d", i, cause)
			}
		}
		kinds = append(kinds, kind)
	}
	const want = "message run -run write -write run -error run -run future_kind finish"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("the trajectory is %s, want %s", got, want)
	}
	o, err := events[6].Observation()
	if err != nil || !o.Interrupted() {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAStrictStoryEndsWithTheFirstFailure(t *testing.T) {
	u := newUser(t)
	u.file("tale.json", tale)
	if r := u.run("run", "--strict", "--trajectory", "tale.json").want(t, 1, "exit 3", "1 action, 1 failed"); strings.Contains(r.out, "▸ write") {
		t.Errorf("it went on:\n%s", r.out)
	}
	u.run("run", "--trajectory", "none.json").want(t, 125).wantErr(t, "none.json")
	u.run("run", "--trajectory", "tale.json", "ls").want(t, 125).wantErr(t, "both")
	u.runWith("not json", "run", "--trajectory", "-").want(t, 125).wantErr(t, "ReadTrajectory")
	u.runWith(`{"action":"run","args":{"command":"true","nonsense":1}}`+"\n", "run", "--trajectory", "-").want(t, 1, "not performed", "nonsense")
}

func TestAnExportIsWhole(t *testing.T) {
	u := newUser(t)
	u.file("one.json", `[{"action":"run","args":{"command":"echo one"}},{"action":"finish","args":{}}]`)
	for range 3 { // the journal commits in the background, so that a look too early sees a part
		u.run("run", "--trajectory", "one.json", "--export", "out.json").want(t, 0)
		b, err := os.ReadFile(filepath.Join(u.home, "out.json"))
		if err != nil {
			t.Fatal(err)
		}
		if events, err := wire.ReadTrajectory(bytes.NewReader(b)); err != nil || len(events) != 3 {
			t.Errorf("%d events, %v:\n%s", len(events), err, b)
		}
	}
	for _, path := range []string{"none/out.json", "one.json/out.json", "."} {
		if r := u.run("run", "--trajectory", "one.json", "--export", path).want(t, 125).wantErr(t, "--export"); r.out != "" {
			t.Errorf("%s: it was played: %s", path, r.out)
		}
	}
}

func TestAStoryForPrograms(t *testing.T) {
	u := newUser(t)
	u.file("tale.json", tale)
	r := u.run("run", "--json", "--trajectory", "tale.json").want(t, 0)
	count := map[string]int{}
	var end map[string]any
	for _, o := range objects(t, r.out) {
		count[o["event"].(string)]++
		end = o
	}
	if count["action"] != 4 || count["observation"] != 4 || count["note"] != 3 || count["output"] == 0 {
		t.Errorf("events: %v", count)
	}
	if end["event"] != "end" || end["failed"] != 2.0 || end["interrupted"] != 1.0 || end["restarts"] != 1.0 {
		t.Errorf("end: %v", end)
	}
}

func TestSummaries(t *testing.T) {
	for in, want := range map[string]string{
		`{"action":"run","args":{"command":"a\nb\nc"}}`:                             "run|a  (and 2 lines)",
		`{"action":"run","args":{"command":"C-c","is_input":true}}`:                 "input|C-c",
		`{"action":"run_ipython","args":{"code":"1+1"}}`:                            "python|1+1",
		`{"action":"edit","args":{"path":"/f","command":"view"}}`:                   "edit|/f  view",
		`{"action":"browse","args":{"url":"http://x"}}`:                             "browse|http://x",
		`{"action":"call_tool_mcp","args":{"name":"t","arguments":{}}}`:             "tool|t",
		`{"action":"think","args":{"thought":"hm\u001b[31m"}}`:                      "think|hm^[[31m",
		`{"action":"change_agent_state","args":{"agent_state":"running"}}`:          "change_agent_state|running",
		`{"action":"unheard_of","args":{},"message":"who knows"}`:                   "unheard_of|who knows",
		`{"action":"run","args":{"command":1},"message":"Running command: broken"}`: "run|Running command: broken",
	} {
		e, err := wire.ParseEvent([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		kind, about := summary(e)
		if got := kind + "|" + about; got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	run := func(code int) sandbox.Observation {
		return sandbox.Observation{Result: sandbox.RunResult{Metadata: sandbox.RunMetadata{ExitCode: code}}}
	}
	for _, c := range []struct {
		o    sandbox.Observation
		want string
		ok   bool
	}{
		{run(0), "exit 0", true},
		{run(2), "exit 2", false},
		{run(-1), "still running", true},
		{sandbox.Failed(sandbox.ErrorInterrupted, "x"), "interrupted", false},
		{sandbox.Failed("", "x"), "error", false},
		{sandbox.Observation{Content: "ERROR:\nno", Result: sandbox.EditResult{}}, "error", false},
		{sandbox.Observation{Result: sandbox.WriteResult{}}, "done", true},
	} {
		if words, ok := outcome(c.o); words != c.want || ok != c.ok {
			t.Errorf("%+v: %q, %v", c.o, words, ok)
		}
	}
}

func TestTrajectoriesKeepWhatTheyDoNotKnow(t *testing.T) {
	in := json.RawMessage(`{"observation":"run","content":"","extras":{},"tool_call_metadata":{"a":1},"new_member":[2]}`)
	e, err := wire.ParseEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	e, err = withHead(e, []member{{"id", json.RawMessage("5")}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":5,"observation":"run","content":"","extras":{},"tool_call_metadata":{"a":1},"new_member":[2]}`
	if got := string(e.Append(nil)); got != want {
		t.Errorf("got %s", got)
	}
}
