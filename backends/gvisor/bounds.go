package gvisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

// groups is where this process can make control groups.
var groups = sync.OnceValue(func() cgroup.Tree {
	if os.Geteuid() != 0 {
		return cgroup.Tree{} // what a service manager delegates to an ordinary user is not looked for
	}
	return cgroup.NewTree("sandtree")
})

// spare is how many processes and threads the server has besides those of programs, so that it answers when they have all
// that they may.
const spare = 64

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
	t := d.tree()
	if t.Has(cgroup.CPU) {
		names = append(names, backends.LimitCPU, backends.LimitCPUShares)
	}
	if t.Has(cgroup.CPUSet) {
		names = append(names, backends.LimitAffinity)
	}
	if t.Has(cgroup.Memory) {
		names = append(names, backends.LimitMemory, backends.LimitSwap)
		if !t.Unified(cgroup.Memory) {
			names = append(names, backends.LimitSwappiness)
		}
	}
	return names
}

// processes is how many a program's user may have, with the server's own; 0 is any number.
func processes(l sandbox.Limits) int {
	switch n := l.Processes; {
	case n < 0:
		return 0
	case n == 0:
		return sandbox.DefaultProcesses + spare
	default:
		return n + spare
	}
}

// memory is in bytes; 0 is any number.
func (d *Driver) memory(l sandbox.Limits) int64 {
	switch {
	case l.Memory < 0 || !d.tree().Has(cgroup.Memory):
		return 0
	case l.Memory == 0:
		return sandbox.DefaultMemory
	}
	return l.Memory
}

// group gives the control group of a sandbox.
func (d *Driver) group(l label) cgroup.Group {
	want := []string{cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.Freezer}
	if l.Limits.Affinity != "" {
		want = append(want, cgroup.CPUSet)
	}
	return d.tree().Group(l.Mark, want...)
}

// bounds are the limits of the control group.
func (d *Driver) bounds(l label) cgroup.Limits {
	// Of the machine's processes a sandbox has one for each that it believes to have, with as many threads, and gVisor's own.
	// gVisor bounds the former, and it would end if it could not make the latter: this is for one that has been broken out of.
	limits := cgroup.Limits{CPU: l.Limits.CPU, CPUShares: l.Limits.CPUShares, Affinity: l.Limits.Affinity,
		Memory: d.memory(l.Limits), Swap: l.Limits.Swap, Swappiness: l.Limits.Swappiness, Processes: processes(l.Limits)}
	if limits.CPU == 0 {
		limits.CPU = sandbox.DefaultCPU
	}
	if limits.Processes > 0 {
		limits.Processes = 4*(limits.Processes+spare) + hostThreads
	}
	if limits.Memory > 0 {
		limits.Memory += ownMemory
	}
	return limits
}

// ungroup removes the control group, and what is in it. One whose start was cut off before it had a label has none.
func (d *Driver) ungroup(ctx context.Context, l label) error {
	if l.Mark == "" {
		return nil
	}
	g := d.tree().Group(l.Mark, cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.CPUSet, cgroup.Freezer)
	err := g.Remove()
	if errors.Is(err, unix.EBUSY) {
		if err := d.sweep(ctx, l); err != nil {
			return err
		}
		err = g.Remove()
	}
	return err
}

// thaw lets a paused sandbox go on, since what is frozen cannot be killed, nor end by itself.
func (d *Driver) thaw(ctx context.Context, l label) error {
	g := d.group(l)
	if g.Dir(cgroup.Freezer) == "" {
		return nil
	}
	err := g.Freeze(ctx, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// oomFile counts what the kernel has killed in the group for want of memory; "" if nothing does.
func (d *Driver) oomFile(g cgroup.Group) string {
	dir := g.Dir(cgroup.Memory)
	switch {
	case dir == "":
		return ""
	case d.tree().Unified(cgroup.Memory):
		return filepath.Join(dir, "memory.events")
	}
	return filepath.Join(dir, "memory.oom_control")
}
