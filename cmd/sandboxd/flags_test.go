package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestParseTouchesNoFile names what is not there, and would be made or refused by whoever looks.
func TestParseTouchesNoFile(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for _, first := range [][]string{{"--listen", "unix:" + filepath.Join(dir, "socket")}, {"3000"}} {
		args := first
		for _, flag := range []string{"working-dir", "state-dir", "key-file", "env-file", "files-root", "cgroup", "mcp-config"} {
			args = append(args, "--"+flag, none)
		}
		if _, err := parse(args, []string{"HOME=" + none, "PATH=" + none}); err != nil {
			t.Errorf("%q: %v", first, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has made %v, %v", left, err)
	}
}
