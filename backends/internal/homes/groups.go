package homes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// Tree is where this process can make control groups.
var Tree = sync.OnceValue(func() cgroup.Tree {
	if os.Geteuid() != 0 {
		return cgroup.Tree{} // what a service manager delegates to an ordinary user is not looked for
	}
	return cgroup.NewTree("sandtree")
})

// Spare is how many processes and threads the server has besides those of programs, so that it answers when they have all
// that they may.
const Spare = 64

// ByGroups names the limits that control groups enforce here, but for those of processes and of the disk.
func ByGroups() (names []string) {
	t := Tree()
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

// Processes is how many a program's user may have, with the server's own; 0 is any number.
func Processes(l sandbox.Limits) int {
	switch n := l.Processes; {
	case n < 0:
		return 0
	case n == 0:
		return sandbox.DefaultProcesses + Spare
	default:
		return n + Spare
	}
}

// Memory is in bytes; 0 is any number.
func Memory(l sandbox.Limits) int64 {
	switch {
	case l.Memory < 0 || !Tree().Has(cgroup.Memory):
		return 0
	case l.Memory == 0:
		return sandbox.DefaultMemory
	}
	return l.Memory
}

// Group gives the control group of a sandbox.
func Group(l *Label) cgroup.Group {
	want := []string{cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.Freezer}
	if l.Limits.Affinity != "" {
		want = append(want, cgroup.CPUSet)
	}
	if l.Limits.DiskRead > 0 || l.Limits.DiskWrite > 0 {
		want = append(want, cgroup.IO)
	}
	return Tree().Group(l.Mark, want...)
}

// Bounds are the limits of the control group: those of programs, and what the server has besides.
func Bounds(l sandbox.Limits) cgroup.Limits {
	limits := cgroup.Limits{CPU: l.CPU, CPUShares: l.CPUShares, Affinity: l.Affinity,
		Memory: Memory(l), Swap: l.Swap, Swappiness: l.Swappiness, Processes: Processes(l)}
	if limits.CPU == 0 {
		limits.CPU = sandbox.DefaultCPU
	}
	if limits.Processes > 0 {
		limits.Processes += Spare
	}
	return limits
}

// Ungroup removes the control group, and what is in it. One whose start was cut off before it had a label has none.
func Ungroup(ctx context.Context, l *Label) error {
	if l.Mark == "" {
		return nil
	}
	g := Tree().Group(l.Mark, cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.CPUSet, cgroup.Freezer, cgroup.IO)
	err := g.Remove()
	if errors.Is(err, unix.EBUSY) {
		if err := Sweep(ctx, l); err != nil {
			return err
		}
		err = g.Remove()
	}
	return err
}

// Sweep kills what is left of a sandbox whose server is dead. The kernel has done so already; what is looked for here is a first
// process whose maker died before it could note it, and which is about to find that nobody wants it.
func Sweep(ctx context.Context, l *Label) error {
	_, err := reap.KillCgroup(ctx, Group(l).Dir(cgroup.PIDs))
	return err
}

// Thaw lets a paused sandbox go on, since what is frozen cannot be killed, nor end by itself.
func Thaw(ctx context.Context, l *Label) error {
	g := Group(l)
	if g.Dir(cgroup.Freezer) == "" {
		return nil
	}
	err := g.Freeze(ctx, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Thaw does so where sandboxes can be paused.
func (e *Homes[L]) Thaw(ctx context.Context, l *Label) error {
	if !e.kind.Confined {
		return nil
	}
	return Thaw(ctx, l)
}

// Unbounded says what is missing for sandboxes that are bounded; nil if nothing is.
func Unbounded() error {
	for _, c := range []string{cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.Freezer} {
		if !Tree().Has(c) {
			return fmt.Errorf("there are no control groups for %s that this process could make: mount /sys/fs/cgroup for writing", c)
		}
	}
	return nil
}
