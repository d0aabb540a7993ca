package docker

import (
	"fmt"

	"github.com/docker/docker/api/types/container"
)

// Where a sandbox has its workspace, unless that is named, and its home.
const (
	storageDirectory = "directory"
	storageMemory    = "memory"
)

// inMemory puts the workspace and the home of l in memory, each with at most half of what the sandbox may have. What is written
// there counts for that. It is gone with the container's processes; what the server has done it still knows.
func (d *Driver) inMemory(host *container.HostConfig, l label) {
	if !l.InMemory {
		return
	}
	options := fmt.Sprintf("mode=0700,exec,nosuid,nodev,uid=%d,gid=%d", l.UID, l.GID)
	if host.Memory > 0 {
		options += fmt.Sprintf(",size=%d", host.Memory/2)
	}
	if host.Tmpfs == nil {
		host.Tmpfs = map[string]string{}
	}
	if !l.Named {
		host.Tmpfs[d.config.Workdir] = options
	}
	if d.config.Home == "" {
		host.Tmpfs[sandboxHome] = options
	}
}
