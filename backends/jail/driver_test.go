package jail_test

import (
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// open opens a driver on a state directory.
func open(t testing.TB, dir string) backends.Driver {
	t.Helper()
	return stored(t, dir, "")
}

func stored(t testing.TB, dir, storage string) backends.Driver {
	t.Helper()
	need.Jail(t)
	d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) { testDriver(t, "directory") }

func TestDriverOnImages(t *testing.T) {
	need.Thorough(t)
	need.Root(t)
	need.Tool(t, "mkfs.ext4")
	testDriver(t, "image")
}

func testDriver(t *testing.T, storage string, without ...string) {
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		dir := t.TempDir()
		t.Cleanup(func() { // after the suite has removed what was left
			left, _ := filepath.Glob(filepath.Join(dir, "jail", "[^.]*"))
			ids, _ := filepath.Glob(filepath.Join(dir, "jail", ".ids", "*"))
			if left = append(left, ids...); len(left) > 0 {
				t.Errorf("left in the state directory: %v", left)
			}
		})
		return func() backends.Driver { return stored(t, dir, storage) }
	}, without...)
}

func TestConformance(t *testing.T) {
	need.Thorough(t)
	drivertest.Conform(t, func(t *testing.T) func() backends.Driver {
		dir := t.TempDir()
		return func() backends.Driver { return open(t, dir) }
	})
}
