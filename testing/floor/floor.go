// Package floor holds what a test or a benchmark needs of the floor (see the package of that name below internal): it
// builds the server, fails the test for what fails, and bounds ratios.
package floor

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/internal/floor"
)

// A DialFunc opens a connection.
type DialFunc = floor.DialFunc

// The kinds of bash on a terminal.
const (
	Ordinary = floor.Ordinary
	Stripped = floor.Stripped
	Piped    = floor.Piped
)

// StartServer builds the server and starts it as a process of its own, as the one that it is compared with is. Its dialer
// gives connections until close is called, at the latest at the end of tb.
func StartServer(tb testing.TB, kind string) (dial DialFunc, close func()) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "floor") // not tb.TempDir: what it is named after may be long
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(dir) // it runs by then
	program := filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", program, "github.com/sandtree/sandtree/testing/floor/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the floor: %v\n%s", err, out)
	}
	dial, end, err := floor.Start([]string{program}, kind)
	if err != nil {
		tb.Fatal(err)
	}
	return dial, closing(tb, end)
}

// closing closes once, at the latest at the end of tb.
func closing(tb testing.TB, end func() error) func() {
	once := sync.OnceFunc(func() {
		if err := end(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(once)
	return once
}

// Client gives what runs a command on the server that dial reaches and returns its output, over one kept connection.
func Client(dial DialFunc) (run func(command string) (string, error), close func()) {
	return floor.Client(dial)
}

// StartPipe starts a bash on pipes and gives what runs a command in it and returns its output.
func StartPipe(tb testing.TB) (run func(command string) (string, error), close func()) {
	tb.Helper()
	run, end, err := floor.Open()
	if err != nil {
		tb.Fatal(err)
	}
	return run, closing(tb, end)
}
