package chaos

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestFullDisk has a sandbox fill the file system that its controller keeps everything in. Whoever asks for something then is
// told so, nothing is begun by halves, and with room all goes on.
func TestFullDisk(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	f := newField(t, storm{runtimes: 2}, jailed{})
	f.state = small(t)
	driver, err := f.open(f)
	if err != nil {
		t.Fatal(err)
	}
	s, err := supervisor.Open(t.Context(), supervisor.Config{
		StateDir: f.state, Drivers: map[string]backends.Driver{"jail": driver}, LeaseTTL: time.Second,
		Restart: supervisor.Restart{Intensity: 1, Window: time.Minute, Base: time.Millisecond, Cap: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.remove()
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	one, two := f.ids[0], f.ids[1]
	rt, err := s.Runtime(t.Context(), sandbox.Spec{ID: one})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Run(t.Context(), "echo kept >kept", nil); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(f.state, "jail", string(one), "workspace"))
	bounded, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 3 { // some may find room in what files have already
		seen, err := rt.Run(bounded, "cat kept", nil)
		if code := sandbox.CodeOf(err); code == sandbox.Canceled || err == nil && !strings.Contains(seen.Content, "kept") {
			t.Errorf("with a full disk it says %+v, %v", seen, err)
		}
	}
	if _, err := s.Runtime(bounded, sandbox.Spec{ID: two}); err == nil || sandbox.CodeOf(err) == sandbox.Canceled {
		t.Errorf("with a full disk another one is %v", err)
	}
	if l, err := driver.List(t.Context(), ""); err != nil || len(l) > 1 {
		t.Errorf("there are %+v, %v", l, err)
	}
	if err := os.Remove(filepath.Join(f.state, "jail", string(one), "workspace", "fill")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []sandbox.ID{one, two} {
		rt, err := s.Runtime(bounded, sandbox.Spec{ID: id})
		if err != nil { // it has stopped, with its cause
			if rt, err = s.Find(bounded, id); err == nil {
				_, err = rt.Reopen(bounded)
			}
		}
		if err != nil {
			t.Errorf("%s with room again: %v", id, err)
			continue
		}
		if seen, err := rt.Run(bounded, "echo room >room && cat room", nil); err != nil || !strings.Contains(seen.Content, "room") {
			t.Errorf("%s with room again says %+v, %v", id, seen, err)
		}
	}
}

// small is a directory with a small file system, which is unmounted at the end.
func small(t *testing.T) string {
	t.Helper()
	sandboxdtest.Binary(t)
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=48m,mode=0755"); err != nil {
		t.Skip("needs to mount a small file system: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill leaves no room.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}
