package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

// A state that was opened before is the server's of its directory, and of no other.
func TestOpenState(t *testing.T) {
	for _, same := range []bool{true, false} {
		dir, other := t.TempDir(), t.TempDir()
		state := server.OpenState(server.Config{Dir: t.TempDir(), StateDir: dir})
		if state == nil {
			t.Fatal("no state is to be had in an empty directory")
		}
		if server.OpenState(server.Config{Dir: t.TempDir(), StateDir: dir}) != nil {
			t.Fatal("two have the state of one directory")
		}
		if !same {
			dir, other = other, dir
		}
		b := start(t, func(c *server.Config) { c.StateDir, c.State, c.Epoch = dir, state, 7 })
		b.native("a1", run("echo once")).wantRun(t, 0, "once")
		state.Close() // which is the server's by now, or closed already
		b.native("a1", run("echo once")).wantRun(t, 0, "once")
		if _, leaders, existed, err := reap.OpenRecord(filepath.Join(dir, reap.RecordFile)); err != nil || !existed || len(leaders) != 1 {
			t.Errorf("the record of the server names %v, %t, %v", leaders, existed, err)
		}
		if free := server.OpenState(server.Config{Dir: t.TempDir(), StateDir: other}); free == nil {
			t.Error("the state that the server did not take is not closed")
		} else {
			free.Close()
		}
		b.stop()
		_, err := server.New(t.Context(), server.Config{Dir: t.TempDir(), StateDir: dir, Epoch: 6})
		if sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("a server of an epoch that is over: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, reap.RecordFile)); !os.IsNotExist(err) {
			t.Errorf("which has left a record of what it has not started: %v", err)
		}
	}
}

// Of one that no server has taken nothing is left that the next would have to look at; and after one that was killed, none is
// to be had.
func TestStateOfNobody(t *testing.T) {
	c := server.Config{Dir: t.TempDir(), StateDir: t.TempDir()}
	server.OpenState(c).Close()
	file := filepath.Join(c.StateDir, reap.RecordFile)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("there is a record: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if server.OpenState(c) != nil || server.OpenState(server.Config{Dir: "/"}) != nil {
		t.Error("there is a state where an earlier server may have left something, or nowhere")
	}
}
