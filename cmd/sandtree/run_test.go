package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRunPassesOutputAndStatusOn(t *testing.T) {
	u := newUser(t)
	for _, c := range []struct {
		name  string
		stdin string
		args  []string
		code  int
		out   string
	}{
		{"a line for the shell", "", []string{"run", "echo a | tr a b"}, 0, "b\n"},
		{"words are not split again", "", []string{"run", "printf", "[%s]", "a b", "$HOME", "it's"}, 0, "[a b][$HOME][it's]"},
		{"flags of the command", "", []string{"run", "echo", "-n", "--json"}, 0, "--json"},
		{"after --", "", []string{"run", "--", "echo", "x"}, 0, "x\n"},
		{"a script", "a=1\necho $((a + 1))\n", []string{"run"}, 0, "2\n"},
		{"a script that is asked for", "echo x", []string{"run", "-"}, 0, "x\n"},
		{"a status", "", []string{"run", "bash -c 'exit 7'"}, 7, ""},
		{"no such command", "", []string{"run", "no-such-command 2>/dev/null"}, 127, ""},
		{"the environment", "", []string{"run", "-e", "A=x y", "-e", "TERM", "echo $A $TERM"}, 0, "x y xterm\n"},
		{"lines end plainly", "", []string{"run", "seq 3"}, 0, "1\n2\n3\n"},
	} {
		r := u.runWith(c.stdin, c.args...)
		if r.code != c.code || r.out != c.out {
			t.Errorf("%s: status %d, %q; want %d, %q\n%s", c.name, r.code, r.out, c.code, c.out, r.err)
		}
	}
}

func TestRunTellsItsOwnFailuresApart(t *testing.T) {
	u := newUser(t)
	u.run("run").want(t, 125).wantErr(t, "empty")
	u.run("run", "--nonsense", "true").want(t, 125).wantErr(t, "nonsense", "--help")
	u.run("run", "--workspace", "/nonexistent", "true").want(t, 125).wantErr(t, "--workspace", "/nonexistent")
	u.run("run", "--backend", "cloud", "true").want(t, 125).wantErr(t, `"cloud"`, "local")
	u.run("run", "--id", "../x", "true").want(t, 125).wantErr(t, "../x")
	u.run("run", "--env", "A B=1", "true").want(t, 125).wantErr(t, "--env")
	u.run("run", "--env", "UNSET_HERE", "true").want(t, 125).wantErr(t, "UNSET_HERE")
	u.run("run", "--timeout", "-1s", "true").want(t, 125).wantErr(t, "--timeout")
	u.run("run", "--strict", "true").want(t, 125).wantErr(t, "--trajectory")
	u.run("--set", "limits.memory=1GB", "run", "true").want(t, 125).wantErr(t, "limits.memory", "unsupported")
	r := u.run("run", "--json", "--backend", "cloud", "true").want(t, 125)
	if e := objects(t, r.err); len(e) != 1 || e[0]["error"].(map[string]any)["code"] != "invalid" {
		t.Errorf("error as JSON: %v", e)
	}
	u.run("run", "--timeout", "200ms", "sleep 60").want(t, 124).wantErr(t, "timed out")
}

func TestRunJSON(t *testing.T) {
	u := newUser(t)
	r := u.run("run", "--json", "echo hi; bash -c 'exit 4'").want(t, 4)
	seen := map[string]map[string]any{}
	for _, o := range objects(t, r.out) {
		seen[o["event"].(string)] = o
	}
	if seen["output"]["text"] != "hi\r\n" || seen["output"]["offset"] != 0.0 {
		t.Errorf("output: %v", seen["output"])
	}
	if a := seen["action"]["action"].(map[string]any); a["action"] != "run" {
		t.Errorf("action: %v", a)
	}
	if o := seen["observation"]["observation"].(map[string]any); o["observation"] != "run" || o["content"] != "hi" {
		t.Errorf("observation: %v", o)
	}
	if end := seen["end"]; end["exit_code"] != 4.0 || end["runtime"] == "" || end["kept"] != false || end["actions"] != 1.0 {
		t.Errorf("end: %v", end)
	}
	if s := seen["status"]; !strings.HasPrefix(s["status"].(string), "STATUS$") {
		t.Errorf("status: %v", s)
	}
}

func TestRunShowsOutputAtOnce(t *testing.T) {
	u := newUser(t)
	work := filepath.Join(u.home, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(work, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := u.start("run", "--workspace", "work", "echo first; cat fifo") // cat waits for us
	if s := r.line(); s != "first" {
		t.Fatalf("got %q", s)
	}
	if err := os.WriteFile(fifo, []byte("second\n"), 0); err != nil {
		t.Fatal(err)
	}
	if s := r.line(); s != "second" {
		t.Fatalf("got %q", s)
	}
	r.wait().want(t, 0)
	if _, err := os.Stat(work); err != nil {
		t.Errorf("the workspace is the user's, and is gone: %v", err)
	}
}

func signalTo(t *testing.T, r *running, s syscall.Signal) {
	t.Helper()
	if err := r.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestAnInterruptIsTheCommands(t *testing.T) {
	u := newUser(t)
	r := u.start("run", "echo ready; sleep 60; echo never")
	r.until("ready")
	signalTo(t, r, syscall.SIGINT)
	if res := r.wait().want(t, 130); strings.Contains(res.out, "never") {
		t.Errorf("it went on: %s", res.out)
	}
}

func TestASecondInterruptQuits(t *testing.T) {
	u := newUser(t)
	r := u.start("run", `bash -c 'trap "echo caught" INT; echo ready; while :; do sleep 0.1; done'`)
	r.until("ready")
	signalTo(t, r, syscall.SIGINT)
	r.until("caught")
	signalTo(t, r, syscall.SIGINT)
	r.wait().want(t, 130)
}

func TestASignalCleansUp(t *testing.T) {
	u := newUser(t)
	r := u.start("run", "echo ready; sleep 60")
	r.until("ready")
	signalTo(t, r, syscall.SIGTERM)
	r.wait().want(t, 143)
}

func TestAReaderThatGoesAwayEndsTheRun(t *testing.T) {
	u := newUser(t)
	cmd := u.command("run", "yes")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit status %d, want 141", code)
	}
}

func TestAKeptRuntimeIsFoundAgain(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "x=kept; echo made > file").want(t, 0)
	if r := u.run("ls", "-q").want(t, 0); r.out != "web\n" {
		t.Errorf("ls: %q", r.out)
	}
	u.run("ls").want(t, 0, "web", "local", "KEPT")
	u.run("run", "--id", "web", "echo $x; cat file").want(t, 0, "kept\nmade\n") // without --keep: it was not made here
	u.run("run", "--id", "web", "-e", "SECRET_WORD=hunter22", "echo $SECRET_WORD").want(t, 0, "hunter22\n")
	if r := u.run("events", "web").want(t, 0, "made"); strings.Contains(r.out, "hunter22") {
		t.Errorf("a secret is in the journal:\n%s", r.out)
	}
	u.run("run", "--id", "web", "--workspace", ".", "true").want(t, 125).wantErr(t, "workspace")
	u.run("rm", "web").want(t, 0, "web")
	u.run("rm", "web").want(t, 3).wantErr(t, "web")
	if r := u.run("ls", "-aq").want(t, 0); r.out != "" {
		t.Errorf("ls: %q", r.out)
	}
}

func TestTwoProcessesCannotDriveOneRuntime(t *testing.T) {
	u := newUser(t)
	r := u.start("run", "--id", "one", "echo ready; sleep 60")
	r.until("ready")
	u.run("run", "--id", "one", "true").want(t, 125).wantErr(t, "driven by", "conflict")
	u.run("rm", "one").want(t, 4)
	u.run("ls").want(t, 0, "one", "READY")
	signalTo(t, r, syscall.SIGINT)
	r.wait().want(t, 130)
}

func TestAnInterruptEndsTheWaitForARuntime(t *testing.T) {
	u := newUser(t)
	fifo := filepath.Join(u.home, ".bashrc") // the sandbox's shell waits for it
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := u.start("run", "--json", "echo never")
	r.until("STARTING_RUNTIME")
	signalTo(t, r, syscall.SIGINT)
	if res := r.wait().want(t, 130); strings.Contains(res.out, "never") {
		t.Errorf("it went on: %s", res.out)
	}
}
