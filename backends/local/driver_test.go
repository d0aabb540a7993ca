package local_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

func TestDriver(t *testing.T) {
	program := sandboxdtest.Binary(t)
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		dir := t.TempDir()
		environ := os.Environ()
		t.Cleanup(func() { // after the suite has removed what was left
			if left, _ := os.ReadDir(filepath.Join(dir, "local")); len(left) > 0 {
				t.Errorf("left in the state directory: %v", left)
			}
		})
		return func() backends.Driver {
			d, err := local.New(local.Config{StateDir: dir, Sandboxd: program, Environ: environ})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}

// TestConformance runs sandboxes side by side, so leaks cannot be told from what the others do.
func TestConformance(t *testing.T) {
	need.Thorough(t)
	program := sandboxdtest.Binary(t)
	drivertest.Conform(t, func(t *testing.T) func() backends.Driver {
		dir := t.TempDir()
		return func() backends.Driver {
			d, err := local.New(local.Config{StateDir: dir, Sandboxd: program, Environ: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}

// TestInherits has a descriptor that every child would inherit, as those have that a careless parent gave to the
// controller: a server that held on to it would keep, say, a CI's pipe open for as long as it lives.
func TestInherits(t *testing.T) {
	leak.Check(t)
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	d, err := local.New(local.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	b := backends.Open("local", d, backends.Config{})
	defer b.Close()
	s, err := b.Start(t.Context(), sandbox.Spec{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}()
	mine, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(p[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"ls -l /proc/$SANDBOXD_PID/fd", "ls -l /proc/$$/fd"} {
		o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: command}}, nil)
		if err != nil || strings.Contains(o.Content, mine) {
			t.Errorf("%s is held (%v):\n%s", mine, err, o.Content)
		}
	}
}
