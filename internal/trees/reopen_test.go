package trees

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoWayBack has many directories far below that nobody may search, so that ".." is not found in them: what is above them is not
// found from the top of the tree each time.
func TestNoWayBack(t *testing.T) {
	const user = 48126
	dir := t.TempDir()
	deepest := filepath.Join(dir, strings.Repeat("d/", 3*openLevels))
	for n := range 20 {
		if err := os.MkdirAll(filepath.Join(deepest, fmt.Sprint("s", n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(deepest, "s*"))
	if err != nil || len(dirs) != 20 {
		t.Fatal(dirs, err)
	}
	for _, d := range dirs {
		if err := os.Chmod(d, 0o444); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(d, 0o700)
	}
	top, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := newLevel("", top, nil)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // who may search any: files are asked for as another
		for d := deepest; strings.HasPrefix(d, dir); d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, _, e := unix.RawSyscall(unix.SYS_SETFSUID, user, 0, 0); e != 0 {
			t.Fatal(e)
		}
		defer unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0)
	}
	seen, again := 0, 0
	w := &walker{ctx: t.Context()}
	w.visit = func(l *level, name string) (*level, error) {
		if strings.HasPrefix(name, "s") {
			if seen++; seen > 1 && w.stack[len(w.stack)-2].isOpen() {
				again++
			}
		}
		sub, err := openDir(l.src.fd(), name)
		if err != nil {
			return nil, err
		}
		return newLevel(name, sub, nil)
	}
	if err := w.walk(first); err != nil {
		t.Fatal(err)
	}
	if seen != 20 || again != 19 {
		t.Errorf("it has seen %d directories, and %d times what is above was open", seen, again)
	}
}
