package jail_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/escape"
	"github.com/sandtree/sandtree/testing/need"
)

// TestEscape tries to get out. The bombs need programs, and as root bounds that only control groups give.
func TestEscape(t *testing.T) {
	need.Tool(t, "python3", "pkill", "timeout")
	dir := t.TempDir()
	d, root := open(t, dir), os.Geteuid() == 0
	if root {
		need.Tool(t, "mkfs.ext4")
		d = stored(t, dir, "image")
	}
	secrets := []string{dir, filepath.Join(dir, "jail"), filepath.Join(dir, "jail/neighbour/key"), filepath.Join(dir, "jail/prisoner/key"),
		filepath.Join(dir, "jail/prisoner/label.json"), filepath.Join(dir, "jail/prisoner/log"), filepath.Join(dir, "jail/neighbour/workspace")}
	escape.Run(t, d, escape.Options{Secrets: secrets, Memory: root, Disk: root, Server: func(id sandbox.ID) int { return server(t, dir, id) }})
}

// server gives the number of a sandbox's first process on this machine.
func server(t testing.TB, stateDir string, id sandbox.ID) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(stateDir, "jail", string(id), "pid.json"))
	var identity struct{ PID int }
	if err == nil {
		err = json.Unmarshal(b, &identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	return identity.PID
}
