// Package sandboxdtest gives tests the real sandboxd: the program as it is shipped, built from this tree, and a way to
// run one.
//
// It is built without cgo and without the race detector, as in a release, also when the tests run with it: what changes
// credentials inside a sandbox must do so on all threads.
package sandboxdtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Binary is the path of sandboxd, built from this tree; once for a test binary. The file stays where it is, one for each
// copy of the tree, so that the next run need not link it again if nothing has changed. Whoever runs tests as a user that
// has no Go, or may not see the tree, builds it first and says where it is by SANDTREE_TEST_SANDBOXD.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SANDTREE_TEST_SANDBOXD"); path != "" {
		return path, nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sandtree/sandtree").Output() // by its name: the test may be in a module beside it
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	sum := sha256.Sum256(root)
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sandtree-test-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock")) // tests of several packages run at a time
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "sandboxd")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/sandboxd")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sandboxd: %w\n%s", err, out)
	}
	return path, nil
})

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
