package reap

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// KillCgroup ends every process in the cgroup and below it, and removes the groups below it, which nobody else will.
// While it works, nothing new can start there if the pids controller is at hand, so a fork bomb does not outrun it. "" is
// no cgroup; one that does not exist is empty.
func KillCgroup(ctx context.Context, dir string) (int, error) {
	if dir == "" {
		return 0, nil
	}
	limit := filepath.Join(dir, "pids.max")
	if before, err := os.ReadFile(limit); err == nil && os.WriteFile(limit, []byte("0"), 0) == nil {
		defer os.WriteFile(limit, []byte(strings.TrimSpace(string(before))), 0)
	}
	// Version 2 ends a whole tree at once; what Kill adds is the waiting.
	_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	n, err := Kill(ctx, InCgroup(dir))
	removeBelow(dir)
	return n, err
}

func removeBelow(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeBelow(filepath.Join(dir, e.Name()))
			_ = os.Remove(filepath.Join(dir, e.Name())) // fails while zombies are in it; then the next one removes it
		}
	}
}
