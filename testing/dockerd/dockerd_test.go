package dockerd_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sandtree/sandtree/testing/dockerd"
)

func TestMain(m *testing.M) {
	code := dockerd.Main(m)
	// Those of this process: other tests may have an engine at the same time.
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/std" + strconv.Itoa(os.Getpid())); len(left) > 0 && code == 0 {
		os.Stderr.WriteString("control groups are left\n")
		code = 1
	}
	os.Exit(code)
}

func TestPrivateEngine(t *testing.T) {
	e := dockerd.Private(t)
	dockerd.MakeImages(t, e.Host())
	for _, end := range []func(){e.Stop, e.Kill} {
		end()
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := dockerd.Client(t, e.Host()).ImageInspect(t.Context(), dockerd.Image); err != nil {
			t.Error(err)
		}
	}
}
