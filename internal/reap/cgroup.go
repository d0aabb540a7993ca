package reap

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// KillCgroup ends every process in the cgroup and below it. While it works, nothing new can start there if the pids
// controller is at hand, so a fork bomb does not outrun it. "" is no cgroup; one that does not exist is empty.
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
	return Kill(ctx, InCgroup(dir))
}
