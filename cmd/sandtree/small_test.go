package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestTheSmallCommands(t *testing.T) {
	u := newUser(t)
	u.run().want(t, 0, "Usage:", "doctor", "events")
	u.run("help").want(t, 0, "trajectory")
	u.run("run", "--help").want(t, 0, "Examples:", "125")
	u.run("evnts").want(t, 2).wantErr(t, `"evnts"`, `"events"`)
	u.run("ls", "x").want(t, 2).wantErr(t, "want no arguments")
	u.run("completion", "tcsh").want(t, 2).wantErr(t, `"tcsh"`, "--help")
	u.run("events", "none").want(t, 3).wantErr(t, "nothing has been run")
	u.run("rm", "none").want(t, 3).wantErr(t, "ls --all")
	u.run("events", "none").want(t, 3).wantErr(t, "ls --all") // rm has made the journal
	u.run("version").want(t, 0, "sandtree dev")
	if v := objects(t, u.run("version", "--json").want(t, 0).out)[0]; v["version"] != "dev" || v["wire"] != float64(wire.Version) {
		t.Errorf("version as JSON: %v", v)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := u.run("completion", shell).want(t, 0, "sandtree"); len(r.out) < 1000 {
			t.Errorf("completion for %s: %q", shell, r.out)
		}
	}
}

func TestIDsAreCompleted(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "true").want(t, 0)
	u.run("__complete", "rm", "").want(t, 0, "web\tKEPT")
	if r := u.run("__complete", "rm", "web", "").want(t, 0); strings.Contains(r.out, "web") {
		t.Errorf("it is offered twice: %s", r.out)
	}
	u.run("rm", "web").want(t, 0)
}

func TestWhoNobodyHoldsIsKeptOrAnOrphan(t *testing.T) {
	for spec, want := range map[string]string{`{"orphan_after":-1}`: "KEPT", `{"orphan_after":60000000000}`: "ORPHAN", `{}`: "ORPHAN", `?`: "KEPT"} {
		l := listed{RuntimeRow: journal.RuntimeRow{Spec: json.RawMessage(spec)}, Alive: true}
		if got := l.state(); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

func TestConfigTellsWhereValuesComeFrom(t *testing.T) {
	u := newUser(t)
	file := u.file("c.toml", "queue = 7\n[git]\ntoken = \"hunter2\"\n[lease]\nttl = \"4s\"\n")
	u.env = append(u.env, "SANDTREE_CONFIG="+file, "SANDTREE_LEASE_TTL=5s")
	r := u.run("--set", "log.level=debug", "config", "--json").want(t, 0)
	got := map[string]any{}
	for _, v := range objects(t, r.out)[0]["values"].([]any) {
		m := v.(map[string]any)
		got[m["key"].(string)] = m
	}
	for key, want := range map[string][2]any{
		"queue":     {7.0, file},
		"lease.ttl": {"5s", "SANDTREE_LEASE_TTL"},
		"log.level": {"debug", "--set"},
		"backend":   {"local", "default"},
		"git.token": {"********", file},
		"state_dir": {u.state, "SANDTREE_STATE_DIR"},
	} {
		if m := got[key].(map[string]any); m["value"] != want[0] || m["from"] != want[1] {
			t.Errorf("%s: %v, want %v", key, m, want)
		}
	}
	if r := u.run("config").want(t, 0, "lease.ttl", "SANDTREE_LEASE_TTL", file); strings.Contains(r.out, "hunter2") {
		t.Error("a secret is shown")
	}
	u.file("c.toml", "bakend = \"local\"\n")
	u.run("config").want(t, 2).wantErr(t, `"bakend"`, `"backend"`)
	u.env = append(u.env, "SANDTREE_CONFIG=")
	u.run("--set", "quue=1", "config").want(t, 2).wantErr(t, `"queue"`)
	u.run("--set", "queue", "config").want(t, 2).wantErr(t, "key=value")
	u.run("--state-dir", "elsewhere", "config").want(t, 0, u.home+"/elsewhere")
}

func TestDoctor(t *testing.T) {
	u := newUser(t)
	u.run("doctor").want(t, 0, "ok    state directory", "backend local", "does not isolate", "limits", "bash")
	r := u.run("doctor", "--json").want(t, 0)
	if !strings.HasPrefix(r.out, "[") {
		t.Errorf("as JSON: %s", r.out)
	}
	u.run("--set", "backends.local.sandboxd=/nonexistent", "doctor").want(t, 1, "FAIL  backend local", "/nonexistent")
	u.file("plain", "")
	u.run("--state-dir", "plain/below", "doctor").want(t, 1, "FAIL  state directory", "--state-dir")
	u.run("--set", "bakend=x", "doctor").want(t, 1, "FAIL  configuration")
	u.run("--set", "pool.least=1", "--set", "pool.most=3", "doctor").want(t, 0, "1 to 3 warm sandboxes")
	u.run("--set", "pool.least=1", "doctor").want(t, 1, "FAIL  configuration", "pool.most")
	u.run("--set", "pool.least=1", "--set", "pool.most=1", "run", "echo x").want(t, 0, "x")
}

func TestLines(t *testing.T) {
	for _, in := range [][]string{{"a\r\nb\rc\r\n"}, {"a\r", "\nb", "\r", "c\r", "", "\n"}} {
		var b bytes.Buffer
		l := newLines(&b)
		for _, s := range in {
			if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
				t.Error(n, err)
			}
		}
		if b.String() != "a\nb\rc\n" {
			t.Errorf("%q gives %q", in, b.String())
		}
	}
	var b bytes.Buffer
	l := newLines(&b)
	_, _ = l.Write([]byte("50%\r"))
	_ = l.flush()
	_ = l.flush()
	if b.String() != "50%\r" {
		t.Errorf("%q", b.String())
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"one": "one", "one\ntwo\n": "one  (and 1 line)", "\n\none\r\ntwo\nthree": "one  (and 2 lines)",
		strings.Repeat("ü", 200): strings.Repeat("ü", 119) + "…",
	} {
		if got := firstLine(in); got != want {
			t.Errorf("firstLine(%q) = %q", in, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 90 * time.Minute: "1h", 72 * time.Hour: "3d"} {
		if got := ago(d); got != want {
			t.Errorf("ago(%v) = %q", d, got)
		}
	}
	for in, want := range map[string]located{
		"web:a/b": {"web", "a/b"}, "a/b": {"", "a/b"}, "./a:b": {"", "./a:b"}, ":x": {"", ":x"}, "web:": {"web", ""}, "a b:c": {"", "a b:c"},
	} {
		if got := place(in); got != want {
			t.Errorf("place(%q) = %+v", in, got)
		}
	}
}

func TestAuditIsTold(t *testing.T) {
	var out strings.Builder
	l := listing{w: &out}
	for _, body := range []string{
		`{"audit":"connection","kind":"closed","name":"a.test","addr":"192.0.2.1","port":443,"sent":1000,"received":2000000,"took":1500000000,"untold":3}`,
		`{"audit":"connection","kind":"denied","name":"b.test\u001b[31m","why":"name"}`,
		`{"audit":"other","x":1}`,
	} {
		if err := l.show(journal.Record{Type: journal.TypeAudit, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"closed  a.test  192.0.2.1  port 443  1.0 kB out, 2.0 MB in, 1.5s  (and 3 before that are not told)", "denied  b.test^[[31m  name\n", `{"audit":"other","x":1}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
