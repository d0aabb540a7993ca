package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGC(t *testing.T) {
	u := newUser(t)
	u.run("gc").want(t, 0, "nothing to end")
	if _, err := os.Stat(u.state); err == nil {
		t.Error("looking has made a state directory")
	}
	u.run("gc", "x").want(t, 2).wantErr(t, "want no arguments")
	u.run("gc", "--grace", "-1s").want(t, 2).wantErr(t, "--grace")
	u.run("gc", "--help").want(t, 0, "--dry-run", "Examples:")

	u.run("run", "--keep", "--id", "kept", "true").want(t, 0)
	alive := u.start("run", "--id", "web.2", "echo up; sleep 60") // which begins as the next does
	alive.until("up")
	dead := u.start("run", "--id", "web", "echo up; sleep 60")
	dead.until("up")
	u.run("gc", "--grace", "0s").want(t, 0, "nothing to end")
	_ = dead.Process.Kill()
	_ = dead.Wait()

	u.run("gc").want(t, 0, "web ", "orphan", "is ended in")
	u.run("gc", "--grace", "1h").want(t, 0, "web ", "orphan", "is ended in")
	u.run("gc", "--grace", "0s", "--dry-run").want(t, 0, "web ", "overdue", "would be ended")
	u.run("doctor").want(t, 0, "note  orphans", "1 orphan", "sandtree gc")
	if u.run("ls", "-q").want(t, 0); len(u.processes()) == 0 {
		t.Fatal("it is gone before its time")
	}
	all := objects(t, strings.ReplaceAll(strings.Trim(u.run("gc", "--grace", "0s", "--json").want(t, 0).out, "[]\n"), "},{", "}\n{"))
	want := map[any]any{"kept": "kept", "web": "ended", "web.2": "held"}
	for _, f := range all {
		if f["verdict"] != want[f["id"]] {
			t.Errorf("it says %v of %v, want %v", f["verdict"], f["id"], want[f["id"]])
		}
	}
	if len(all) != len(want) {
		t.Errorf("it tells of %v", all)
	}
	u.run("gc", "--all").want(t, 0, "web.2", "held", "kept", "to live until")
	u.run("events", "web").want(t, 0, "the janitor ended the sandbox")
	u.run("doctor").want(t, 0, "ok    orphans", "none")

	_ = alive.Process.Kill()
	_ = alive.Wait()
	u.run("gc", "--grace", "0s").want(t, 0, "web.2", "ended")

	// What the journal does not know may be another's.
	journals, err := filepath.Glob(filepath.Join(u.state, "journal*"))
	if err != nil || len(journals) == 0 {
		t.Fatalf("%v, %v", journals, err)
	}
	for _, f := range journals {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	u.run("gc", "--grace", "0s").want(t, 0, "kept", "unknown", "--unknown")
	u.run("gc", "--grace", "1h", "--unknown").want(t, 0, "kept", "orphan")
	u.run("gc", "--grace", "0s", "--unknown").want(t, 0, "kept", "ended", "was running")
	u.run("gc").want(t, 0, "nothing to end")
}
