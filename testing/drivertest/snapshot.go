package drivertest

import (
	"os"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// snapshots gives the snapshots of a backend by name.
func (w *world) snapshots(b *backends.Backend) map[string]backends.Snapshot {
	w.t.Helper()
	all, err := b.Snapshots(w.context())
	if err != nil {
		w.t.Fatalf("Snapshots: %v", err)
	}
	m := map[string]backends.Snapshot{}
	for _, s := range all {
		m[s.Name] = s
	}
	return m
}

// snapshot makes one. It skips a driver that cannot, and sees to it that none is left.
func (w *world) snapshot(b *backends.Backend, s *backends.Sandbox, name string) backends.Snapshot {
	w.t.Helper()
	if _, ok := s.Instance().(backends.Snapshotter); !ok {
		w.t.Skip("no Snapshotter")
	}
	made, err := s.Snapshot(w.context(), name)
	if err != nil {
		w.t.Fatalf("Snapshot: %v", err)
	}
	w.t.Cleanup(func() {
		if err := b.RemoveSnapshot(w.context2(), name); err != nil {
			w.t.Errorf("RemoveSnapshot %s: %v", name, err)
		}
	})
	return made
}

// do runs a command that may fail.
func (w *world) do(s *backends.Sandbox, command string) {
	w.t.Helper()
	if _, err := s.Do(w.context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil); err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
}

func testSnapshot(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "origin", Owner: "me", Epoch: 1, Env: map[string]string{"SECRET": "5e3c1a"}})
	w.run(s, `mkdir -p sub/empty; echo first >file; echo x >sub/gone; ln -s file link; ln file again; chmod 750 sub; printf %0100d 7 >"$HOME/mine"; cd sub`)
	w.do(s, "(exit 3)")
	made := w.snapshot(b, s, "first")
	if made.Of != "origin" || made.Name != "first" || made.Created.IsZero() || len(made.Holds) == 0 || made.Took < 0 {
		t.Errorf("made as %+v", made)
	}
	t.Logf("the programs stood still for %v, by %s %s", made.Took, made.Way, made.Why)
	if got := w.run(s, `echo $? $PWD; cat ../file; echo second >../file; rm -r gone; echo y >new; pwd -P`); !strings.HasPrefix(got, "3 ") || !strings.HasSuffix(got, "/sub") {
		t.Errorf("the shell after the snapshot: %q", got)
	}
	if _, err := s.Snapshot(w.context(), "first"); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("a second one of the same name: %v", err)
	}
	listed := w.snapshots(b)["first"]
	if listed.Of != "origin" || listed.Size < 100 || listed.Files < 3 {
		t.Errorf("listed as %+v", listed)
	}

	fork := w.start(b, sandbox.Spec{ID: "fork", Owner: "me", Epoch: 1, From: "first"})
	const whole = `cat file link; cat sub/gone; ls -1 sub; stat -c '%a %h' sub file; wc -c <"$HOME/mine"; [ file -ef again ] && echo same`
	want := "first\nfirst\nx\nempty\ngone\n750 3\n644 2\n100\nsame"
	if got := w.run(fork, whole); got != want {
		t.Errorf("the fork has %q, want %q", got, want)
	}
	if got := w.run(fork, `env | grep -c 5e3c1a; grep -rs 5e3c1a . "$HOME"; true`); got != "0" {
		t.Errorf("the fork has a variable of the first: %q", got)
	}
	w.run(fork, `echo forked >file; touch "$HOME/forked"; mv sub moved; mkdir d; mv d e`)
	if got := w.run(s, "cat ../file; ls -1; ls .. | tr '\\n' ' '"); got != "second\nempty\nnew\nagain file link sub" {
		t.Errorf("after the fork has written, the first has %q", got)
	}
	testForkLives(t, w, b, fork, whole, want)
}

// testForkLives goes on with a fork whose origin and whose snapshot are removed.
func testForkLives(t *testing.T, w *world, b *backends.Backend, fork *backends.Sandbox, whole, want string) {
	w.snapshot(b, fork, "second")
	third := w.start(b, sandbox.Spec{ID: "third", From: "second"})
	if got := w.run(third, `cat file; ls -1 moved; ls -d e "$HOME/forked" >/dev/null && echo there`); got != "forked\nempty\ngone\nthere" {
		t.Errorf("a fork of a fork has %q", got)
	}
	again := w.start(b, sandbox.Spec{ID: "again", From: "first"})
	if got := w.run(again, whole); got != want {
		t.Errorf("a later fork has %q, want %q", got, want)
	}
	if err := b.Remove(w.context(), "origin", backends.AnyEpoch, 0); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	for _, name := range []string{"first", "second", "never"} {
		if err := b.RemoveSnapshot(w.context(), name); err != nil {
			t.Errorf("RemoveSnapshot: %v", err)
		}
	}
	if n := len(w.snapshots(b)); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
	w.kill(again)
	again = w.start(w.open(), sandbox.Spec{ID: "again", From: "first", Epoch: 2}) // it is there, whatever became of the snapshot
	if got := w.run(again, whole); got != want {
		t.Errorf("revived, it has %q, want %q", got, want)
	}
	_, err := b.Start(w.context(), sandbox.Spec{ID: "late", From: "first"})
	w.wantCode("Start from a removed snapshot", err, sandbox.NotFound)
	w.wantNone(b, "late")
}

func testRestore(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "restored", Epoch: 1})
	w.run(s, `echo first >file; echo mine >"$HOME/mine"`)
	w.snapshot(b, s, "before")
	done := sandbox.Action{ID: "done", Args: sandbox.RunArgs{Command: "echo second >file; echo x >more; echo done", Blocking: true}}
	if _, err := s.Do(w.context(), done, nil); err != nil {
		t.Fatalf("Do: %v", err)
	}
	pids := w.escapees(s)
	err := b.Restore(w.context(), "restored", 0, "before")
	w.wantCode("Restore with an old epoch", err, sandbox.Conflict)
	err = b.Restore(w.context(), "restored", 1, "never")
	w.wantCode("Restore from no snapshot", err, sandbox.NotFound)
	w.run(s, "true") // it was not touched
	err = b.Restore(w.context(), "never", 1, "before")
	w.wantCode("Restore of no sandbox", err, sandbox.NotFound)

	err = b.Restore(w.context(), "restored", 1, "before")
	if sandbox.CodeOf(err) == sandbox.Unsupported {
		t.Skipf("Restore: %v", err)
	}
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	w.wantDead(pids)
	if _, err := s.Wait(w.context()); err != nil {
		t.Errorf("Wait: %v", err)
	}
	s = w.start(b, sandbox.Spec{ID: "restored", Epoch: 2})
	if got := w.run(s, `cat file "$HOME/mine"; ls -1`); got != "first\nmine\nfile" {
		t.Errorf("restored, it has %q", got)
	}
	o, err := s.Do(w.context(), done, nil)
	if err != nil || !strings.Contains(o.Content, "done") {
		t.Errorf("what was done before is answered %+v, %v", o, err)
	}
	if got := w.run(s, "cat file; ls; echo third >file"); got != "first\nfile" {
		t.Errorf("what was done before was done again: %q", got)
	}
	if err := b.Restore(w.context(), "restored", 2, "before"); err != nil {
		t.Fatalf("a second Restore: %v", err)
	}
	if got := w.run(w.start(b, sandbox.Spec{ID: "restored", Epoch: 3}), "cat file"); got != "first" {
		t.Errorf("restored again, it has %q", got)
	}
}

// testSnapshotBusy makes a snapshot while a program of the sandbox holds its files, and goes on.
func testSnapshotBusy(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "busy", Epoch: 1})
	// Two programs: one that has a file open which it writes to, and one whose working directory is the workspace.
	w.run(s, `mkfifo go done; (exec 9>>log; echo one >&9; echo x >done; read -r line <go; echo "$line" >&9; echo x >done) & disown; read -r _ <done`)
	made := w.snapshot(b, s, "busy")
	if got := w.run(s, `echo two >go; read -r _ <done; cat log`); got != "one\ntwo" {
		t.Errorf("what went on writing wrote %q", got)
	}
	if got := w.run(w.start(b, sandbox.Spec{ID: "calm", From: "busy"}), `cat log`); got != "one" {
		t.Errorf("the snapshot, made by %s, has %q", made.Way, got)
	}
}

func testSnapshotNamed(t *testing.T, w *world) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "named", Workspace: dir, Epoch: 1})
	w.run(s, "echo first >file")
	w.snapshot(b, s, "named")
	w.run(s, "echo second >file")
	if got := w.run(w.start(b, sandbox.Spec{ID: "unnamed", From: "named"}), "cat file; echo third >file; cat file"); got != "first\nthird" {
		t.Errorf("a fork has %q", got)
	}
	if got := w.run(s, "cat file"); got != "second" {
		t.Errorf("the first has %q", got)
	}
	err := b.Restore(w.context(), "named", 1, "named")
	w.wantCode("Restore of a named workspace", err, sandbox.Unsupported)
	_, err = b.Start(w.context(), sandbox.Spec{ID: "both", From: "named", Workspace: dir})
	w.wantCode("Start with a snapshot and a workspace", err, sandbox.Invalid)
}
