// Package confinedtest is what tests ask of every driver whose sandboxes are confined on this machine, besides what
// testing/drivertest asks of all: the one way out, whose the files of a workspace are, and that a root file system leads nowhere.
package confinedtest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// A Place gives the backend of a driver on a state directory; hear, if it is not nil, is its OnConnection.
type Place func(t testing.TB, dir string, hear func(sandbox.ID, sandbox.Connection)) *backends.Backend

// Run runs a command and gives what it printed.
func Run(t testing.TB, s *backends.Sandbox, command string) string {
	t.Helper()
	o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(o.Content)
}

// Began starts a sandbox that ends with the test.
func Began(t testing.TB, b *backends.Backend, spec sandbox.Spec) *backends.Sandbox {
	t.Helper()
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Ends removes a sandbox and lets go of the backend when the test ends.
func Ends(t testing.TB, b *backends.Backend, ids ...sandbox.ID) {
	t.Cleanup(func() {
		for _, id := range ids {
			if err := b.Remove(context.Background(), id, backends.AnyEpoch, 0); err != nil {
				t.Error(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Owner makes files in workspaces that belong to somebody, and looks whose they are on the host.
func Owner(t *testing.T, open Place) {
	b := open(t, t.TempDir(), nil)
	Ends(t, b, "x")
	owners := []int{os.Geteuid()}
	if os.Geteuid() == 0 {
		owners = append(owners, 4321)
	}
	for _, uid := range owners {
		dir := t.TempDir()
		theirs := filepath.Join(dir, "theirs")
		if err := os.WriteFile(theirs, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{dir, theirs} {
			if err := os.Chown(f, uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		s := Began(t, b, sandbox.Spec{ID: "x", Workspace: dir})
		got := Run(t, s, "cat theirs && echo more >>theirs && mkdir deep && echo x >deep/ours && stat -c %U theirs deep/ours && id -u")
		if strings.Join(strings.Fields(got), " ") != "theirssandbox sandbox 1000" {
			t.Errorf("inside, files of %d are %q", uid, got)
		}
		info, err := os.Stat(filepath.Join(dir, "deep/ours"))
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid {
			t.Errorf("what is made in the workspace of %d is of %d", uid, got)
		}
		// A program that would run as the owner on the host, whoever starts it there.
		Run(t, s, `cd deep; touch a && chmod 4755 a; chmod u+s ours; mkdir -m 2755 d; install -m 4755 /bin/true c; `+
			`python3 -c 'import os; os.close(os.open("b", os.O_CREAT|os.O_WRONLY, 0o6755))'`)
		entries, err := os.ReadDir(filepath.Join(dir, "deep"))
		if err != nil || len(entries) < 2 {
			t.Errorf("there are %v, %v", entries, err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				t.Errorf("on the host %s is %v, %v", e.Name(), info.Mode(), err)
			}
		}
		if err := s.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
}

// RootThatLeadsAway has links where things are mounted, which lead to the host's as seen from outside. Gone is how a program inside is
// told that there is nothing.
func RootThatLeadsAway(t *testing.T, image func(t testing.TB) string, open func(t testing.TB, root string) *backends.Backend, gone ...string) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "stays"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"workspace", "run", "etc/hosts", "home"} {
		root := image(t) // of each its own
		if err := os.Symlink(strings.Repeat("../", 30)+outside[1:], filepath.Join(root, place)); err != nil {
			t.Fatal(err)
		}
		b := open(t, root)
		Ends(t, b, "x")
		s, err := b.Start(t.Context(), sandbox.Spec{ID: "x"})
		if err == nil { // what the link names was made, inside
			got := Run(t, s, "ls -la "+outside+"/stays 2>&1; cat /proc/1/comm")
			if !slices.ContainsFunc(gone, func(words string) bool { return strings.Contains(got, words) }) {
				t.Errorf("%s: inside there is %q", place, got)
			}
			s.Close()
		}
		if left, _ := os.ReadDir(outside); len(left) != 1 {
			t.Errorf("%s: made outside: %v", place, left)
		}
	}
}
