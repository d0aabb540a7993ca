package gvisor_test

import (
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// open opens a driver on a state directory.
func open(t testing.TB, dir string) *gvisor.Driver {
	t.Helper()
	return with(t, gvisor.Config{StateDir: dir})
}

func with(t testing.TB, c gvisor.Config) *gvisor.Driver {
	t.Helper()
	c.Companion, c.Sandboxd = need.GVisor(t), sandboxdtest.Binary(t)
	d, err := gvisor.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	need.GVisor(t)
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		dir := t.TempDir()
		t.Cleanup(func() { // after the suite has removed what was left
			left, _ := filepath.Glob(filepath.Join(dir, "gvisor", "[^.]*"))
			ids, _ := filepath.Glob(filepath.Join(dir, "gvisor", ".ids", "*"))
			if left = append(left, ids...); len(left) > 0 {
				t.Errorf("left in the state directory: %v", left)
			}
		})
		return func() backends.Driver { return open(t, dir) }
	})
}

// What runs inside is asked of the other drivers' sandboxes in every run; here each call to the kernel takes longer, and all of
// them minutes.
func TestConformance(t *testing.T) {
	need.Thorough(t)
	need.GVisor(t)
	drivertest.Conform(t, func(t *testing.T) func() backends.Driver {
		dir := t.TempDir()
		return func() backends.Driver { return open(t, dir) }
	})
}
