package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// testConfig is a configuration whose containers have the programs of the host and no network, in a fresh state directory.
func testConfig(t testing.TB) Config {
	t.Helper()
	host := dockerd.Host(t)
	dockerd.MakeImages(t, host)
	c := Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t), Host: host, Image: dockerd.Skeleton, Pull: PullNever,
		Network: networkNone}
	for _, m := range dockerd.HostPrograms() {
		c.Mounts = append(c.Mounts, m.Source+":"+m.Target+":ro")
	}
	t.Cleanup(func() { // after whatever the test has removed
		left, _ := os.ReadDir(filepath.Join(c.StateDir, "docker"))
		for _, e := range left {
			if e.Name() != ".system" && !t.Failed() {
				t.Errorf("left in the state directory: %s", e.Name())
			}
		}
	})
	return c
}

func TestDriver(t *testing.T) {
	dockerd.Host(t)
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		c := testConfig(t)
		c.Environ = os.Environ()
		c.User = strconv.Itoa(os.Geteuid()) // whose the workspaces are; root's only if that is asked for
		return func() backends.Driver {
			d, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}

// TestConformance runs sandboxes side by side, so leaks cannot be told from what the others do. What it asks is asked of the
// local driver's sandboxes in every run; with containers it takes minutes, so that it is run when something about them
// has changed.
func TestConformance(t *testing.T) {
	need.Thorough(t)
	dockerd.Host(t)
	drivertest.Conform(t, func(t *testing.T) func() backends.Driver {
		c := testConfig(t)
		c.User = strconv.Itoa(os.Geteuid())
		c.Env = map[string]string{"PIP_RETRIES": "0"} // there is no network, which it would believe only after ten seconds
		return func() backends.Driver {
			d, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}
