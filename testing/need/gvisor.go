package need

import (
	"os"
	"path/filepath"
	"testing"
)

// GVisor needs root and the program sandtree-gvisor, which `make gvisor` builds: at SANDTREE_TEST_GVISOR, or in bin/ of the
// tree. It returns where it is. The word of the promise is "gvisor".
func GVisor(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "gvisor", "needs root, to place sandboxes in gVisor")
	}
	path := os.Getenv("SANDTREE_TEST_GVISOR")
	if path == "" {
		dir, _ := os.Getwd()
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if path = filepath.Join(dir, "bin", "sandtree-gvisor"); regular(path) {
				return path
			}
		}
	}
	if !regular(path) {
		lacks(t, "gvisor", "needs sandtree-gvisor, which `make gvisor` builds")
	}
	return path
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
