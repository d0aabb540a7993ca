package jail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestDisk fills one, and looks whether the sandbox can still be told to make room, and what of it outlives the server.
func TestDisk(t *testing.T) {
	need.Root(t)
	need.Tool(t, "mkfs.ext4")
	dir := t.TempDir()
	b := backends.Open("jail", stored(t, dir, "image"), backends.Config{})
	spec := sandbox.Spec{ID: "disk", Limits: sandbox.Limits{Disk: 64 << 20, Files: 500}}
	s := began(t, b, spec)
	if got := run(t, s, "echo kept >kept; head -c 1G /dev/zero 2>&1 >much; echo full"); !strings.Contains(got, "No space left") || !strings.Contains(got, "full") {
		t.Errorf("filling it says %q", got)
	}
	if got := run(t, s, "rm much; echo room >again; cat again"); got != "room" {
		t.Errorf("making room says %q", got)
	}
	if got := run(t, s, `for i in $(seq 600); do : >f$i || break; done 2>&1 | tail -1; rm -f f*; ls`); !strings.Contains(got, "No space left") {
		t.Errorf("600 files where 500 may be: %q", got)
	}
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	spec.Epoch = 1
	s = began(t, b, spec)
	if got := run(t, s, "cat kept"); got != "kept" {
		t.Errorf("after it was revived, it has %q", got)
	}
	for _, wrong := range []sandbox.Spec{
		{ID: "disk", Epoch: 1, Limits: sandbox.Limits{Disk: 128 << 20}},
		{ID: "other", Workspace: t.TempDir(), Limits: sandbox.Limits{Disk: 64 << 20}},
		{ID: "other", Limits: sandbox.Limits{Disk: 1 << 20}},
	} {
		if _, err := b.Start(t.Context(), wrong); err == nil {
			t.Errorf("%+v is started", wrong)
		}
	}
	if err := b.Remove(t.Context(), "disk", backends.AnyEpoch, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // the kernel lets go of it by and by
		left := loops(t, dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("loop devices are left: %v", left)
		}
	}
}

// loops are the loop devices of files below a directory.
func loops(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), dir) {
			found = append(found, f)
		}
	}
	return found
}
