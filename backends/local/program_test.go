package local_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func sandboxdPath(t testing.TB) string {
	p := filepath.Join(t.TempDir(), "sandboxd")
	c := exec.Command("go", "build", "-o", p, "github.com/sandtree/sandtree/cmd/sandboxd")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return p
}
