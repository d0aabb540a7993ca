package jail

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

// tree is where this process can make control groups.
var tree = sync.OnceValue(func() cgroup.Tree {
	if os.Geteuid() != 0 {
		return cgroup.Tree{} // what a service manager delegates to an ordinary user is not looked for
	}
	return cgroup.NewTree("sandtree")
})

// spare is how many processes and threads the server has besides those of programs, so that it answers when they have all
// that they may.
const spare = 64

// Enforces names the limits that this process can enforce.
func (d *Driver) Enforces() []string {
	// The first by the jail's own count, in its user namespace; the others by the one way out.
	names := []string{backends.LimitProcesses, backends.LimitNetwork, backends.LimitConnections, backends.LimitPorts, backends.LimitEgress}
	if d.config.Storage == storageImage || d.inMemory() {
		names = append(names, backends.LimitDisk, backends.LimitFiles)
	}
	for _, limit := range []string{backends.LimitDiskRead, backends.LimitDiskWrite} {
		if d.WhyNot(limit) == nil {
			names = append(names, limit)
		}
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
	if l.Limits.DiskRead > 0 || l.Limits.DiskWrite > 0 {
		want = append(want, cgroup.IO)
	}
	return d.tree().Group(l.Mark, want...)
}

// bounds are the limits of the control group.
func (d *Driver) bounds(l label) cgroup.Limits {
	limits := cgroup.Limits{CPU: l.Limits.CPU, CPUShares: l.Limits.CPUShares, Affinity: l.Limits.Affinity,
		Memory: d.memory(l.Limits), Swap: l.Limits.Swap, Swappiness: l.Limits.Swappiness, Processes: processes(l.Limits)}
	if limits.CPU == 0 {
		limits.CPU = sandbox.DefaultCPU
	}
	if limits.Processes > 0 {
		limits.Processes += spare // the server is bound by nothing else
	}
	return limits
}

// ungroup removes the control group, and what is in it. One whose start was cut off before it had a label has none.
func (d *Driver) ungroup(ctx context.Context, l label) error {
	if l.Mark == "" {
		return nil
	}
	g := d.tree().Group(l.Mark, cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.CPUSet, cgroup.Freezer, cgroup.IO)
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
