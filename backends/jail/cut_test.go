package jail_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// TestCutStart has what a process leaves that is killed when it has just made a home: somebody must find it to clear it away,
// and what is cleared away is that home, and nothing of a neighbour.
func TestCutStart(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	b := backends.Open("jail", d, backends.Config{})
	ends(t, b, "neighbour")
	s := began(t, b, sandbox.Spec{ID: "neighbour"})
	home := filepath.Join(dir, "jail/cut")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := d.List(t.Context(), "")
	if err != nil || len(l) != 2 || l[0].ID != "cut" || !l[0].Exited || time.Since(l[0].Created) > time.Minute {
		t.Errorf("listed are %+v, %v", l, err)
	}
	if err := b.Remove(t.Context(), "cut", 0, 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(home); err == nil {
		t.Error("it is still there")
	}
	if got := run(t, s, "echo alive"); got != "alive" {
		t.Errorf("the neighbour says %q", got)
	}
}

// TestTried opens a driver while another process tries a jail, and when one has ended over it.
func TestTried(t *testing.T) {
	dir := t.TempDir()
	lives, ended := filepath.Join(dir, "jail/.try-lives"), filepath.Join(dir, "jail/.try-ended")
	unlock, err := held.Locker{Begin: func(f func()) bool { go f(); return true }}.Lock(t.Context(), lives, true)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := os.MkdirAll(ended, 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	b := backends.Open("jail", d, backends.Config{})
	ends(t, b, "x")
	if _, err := os.Lstat(ended); err == nil {
		t.Error("what nobody tries any more is still there")
	}
	if _, err := os.Lstat(lives); err != nil {
		t.Errorf("what somebody tries has gone: %v", err)
	}
	if err := d.(*jail.Driver).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "jail/.try-*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	s := began(t, b, sandbox.Spec{ID: "x"})
	if got := run(t, s, "ls -d /etc/environment /etc/gitconfig /etc/profile.d /etc/shadow 2>&-; bash -lc 'echo $?'"); got != "0" {
		t.Errorf("of /etc it shows %q", got)
	}
}
