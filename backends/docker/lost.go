package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/internal/reap"
)

// An engine that was killed while it had containers can lose count of them: the next one takes a container for ended whose
// processes live, and whose name in containerd is taken, so that it can neither be started nor seen to end.

// lost says whether err is of the start of such a container. What containerd says comes as text only.
func lost(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, words := range [][2]string{{"task ", "already exists"}, {"id already in use", ""}, {"failed to start shim", "file exists"}} {
		if strings.Contains(text, words[0]) && strings.Contains(text, words[1]) {
			return true
		}
	}
	return false
}

// killStrays ends what lives of a container that the engine knows nothing of any more. On this machine its control groups tell:
// their name has the container's id.
func (d *Driver) killStrays(ctx context.Context, id string) error {
	if !d.config.shared() || id == "" {
		return nil
	}
	var errs []error
	for _, pattern := range []string{"*/" + id, "*/docker-" + id + ".scope", "*/*/" + id, "*/*/*/" + id} {
		dirs, _ := filepath.Glob("/sys/fs/cgroup/" + pattern)
		for _, dir := range dirs {
			if _, err := reap.KillCgroup(ctx, dir); err != nil {
				errs = append(errs, err)
			}
		}
		for _, dir := range dirs { // of version 1 there is one in each hierarchy, and all are empty now
			if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
