package backends

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindServer finds the program of the server that runs inside a sandbox: at configured if that is not "", else beside this
// program, else on PATH. It is looked for at each start, since it may be put there while we run. The error says to the user of
// the backend what to do.
func FindServer(backend, configured string) (string, error) {
	return FindProgram("sandboxd", configured, func(where string) error {
		return fmt.Errorf("sandboxd, the server that runs inside a sandbox, is not %s: build it with `make build`, or "+
			"say where it is with backends.%s.sandboxd (SANDTREE_BACKENDS_%s_SANDBOXD)", where, backend, strings.ToUpper(backend))
	})
}

// FindProgram finds a program of ours as FindServer does; missing gives the error of one that is not where it was looked for.
func FindProgram(name, configured string, missing func(where string) error) (string, error) {
	if configured != "" {
		if !executable(configured) {
			return "", missing("at " + configured)
		}
		return filepath.Abs(configured)
	}
	self, err := os.Executable()
	if err == nil {
		if path := filepath.Join(filepath.Dir(self), name); executable(path) {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	return "", missing("beside " + self + " nor on PATH")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
