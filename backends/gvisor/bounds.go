package gvisor

import (
	"path/filepath"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
)

const (
	// hostThreads is how many threads of the machine gVisor and its companion have themselves, with room.
	hostThreads = 512
	// ownMemory is what gVisor and its companion have themselves, in bytes.
	ownMemory = 64 << 20
)

// Enforces names the limits that this process can enforce.
func (d *Driver) Enforces() []string {
	names := []string{backends.LimitProcesses} // by gVisor's own count
	if d.config.Network != networkNone {       // by the one way out
		names = append(names, backends.LimitNetwork, backends.LimitConnections, backends.LimitPorts, backends.LimitEgress)
	}
	return append(names, homes.ByGroups()...)
}

// bounds are the limits of the control group.
func bounds(l *label) cgroup.Limits {
	// Of the machine's processes a sandbox has one for each that it believes to have, with as many threads, and gVisor's own.
	// gVisor bounds the former, and it would end if it could not make the latter: this is for one that has been broken out of.
	limits := homes.Bounds(l.Limits)
	if limits.Processes > 0 {
		limits.Processes = 4*limits.Processes + hostThreads
	}
	if limits.Memory > 0 {
		limits.Memory += ownMemory
	}
	return limits
}

// oomFile counts what the kernel has killed in the group for want of memory; "" if nothing does.
func oomFile(g cgroup.Group) string {
	dir := g.Dir(cgroup.Memory)
	switch {
	case dir == "":
		return ""
	case homes.Tree().Unified(cgroup.Memory):
		return filepath.Join(dir, "memory.events")
	}
	return filepath.Join(dir, "memory.oom_control")
}
