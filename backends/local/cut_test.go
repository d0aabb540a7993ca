package local

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
)

// TestCutStart has what a process leaves that is killed when it has just made a home: somebody must find it to clear it away.
func TestCutStart(t *testing.T) {
	d := opened(t, t.TempDir(), "")
	h := d.home("cut")
	if err := os.Mkdir(string(h.Home), 0o700); err != nil {
		t.Fatal(err)
	}
	list := func() []backends.Listed {
		t.Helper()
		l, err := d.List(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for range 2 { // without its lock, and with it
		if l := list(); len(l) != 1 || l[0].ID != "cut" || !l[0].Exited || time.Since(l[0].Created) > time.Minute {
			t.Errorf("it is listed as %+v", l)
		}
		if err := os.WriteFile(h.Path("lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := d.homes.LockHome(t.Context(), h.Home, false)
	if err != nil {
		t.Fatal(err)
	}
	if l := list(); len(l) != 0 {
		t.Errorf("while somebody makes it, it is listed as %+v", l)
	}
	unlock()
	if err := d.Remove(t.Context(), "cut", 0, 0); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(string(h.Home))); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
