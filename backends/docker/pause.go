package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Pauser = (*instance)(nil)

// Pause stops all processes of the sandbox where they are. On this machine the control group is frozen directly, which takes a
// tenth of a millisecond; through the engine it takes ten, and the engine then knows of it. A container that is frozen
// directly looks to the engine as if it ran, and cannot be ended by it before it is thawed.
func (i *instance) Pause(ctx context.Context) error { return i.freeze(ctx, "docker.Pause", true) }

// Resume lets them go on.
func (i *instance) Resume(ctx context.Context) error { return i.freeze(ctx, "docker.Resume", false) }

func (i *instance) freeze(ctx context.Context, op string, frozen bool) error {
	select {
	case <-i.container.letgo:
		return failed(op, i.label.ID, errEnded)
	default:
	}
	err := i.relabel(ctx, func(l *label) (bool, error) { // nothing changes there; nobody takes it over meanwhile
		if l.Epoch > i.epoch.Load() {
			return false, l.fenced(i.epoch.Load())
		}
		return false, i.freezeHeld(ctx, frozen)
	})
	if err != nil {
		return failed(op, i.label.ID, err)
	}
	return nil
}

// freezeHeld does it, under the home's lock.
func (i *instance) freezeHeld(ctx context.Context, frozen bool) error {
	i.find.Do(func() { i.group, i.local = i.d.freezer(i.container.id, i.pid) })
	if i.local {
		if err := i.group.Freeze(ctx, frozen); !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return i.d.pauseByEngine(ctx, i.container.id, frozen)
}

// pauseByEngine pauses or resumes a container. The engine calls it an error if that is so already.
func (d *Driver) pauseByEngine(ctx context.Context, id string, paused bool) error {
	change := d.engine.ContainerUnpause
	if paused {
		change = d.engine.ContainerPause
	}
	err := change(ctx, id)
	if err == nil {
		return nil
	}
	c, looked := d.engine.ContainerInspect(ctx, id)
	switch {
	case errdefs.IsNotFound(looked), looked == nil && !c.State.Running:
		return errEnded
	case looked == nil && c.State.Paused == paused:
		return nil
	}
	return err
}

// thaw lets a container go on that was paused in either way. pid is that of its first process.
func (d *Driver) thaw(ctx context.Context, id string, pid int, paused bool) error {
	if paused {
		if err := d.pauseByEngine(ctx, id, false); err != nil && !errors.Is(err, errEnded) {
			return err
		}
	}
	if group, ok := d.freezer(id, pid); ok && frozen(group.Dir(cgroup.Freezer)) {
		return group.Freeze(ctx, false)
	}
	return nil
}

// frozen says whether a group is, or is about to be.
func frozen(dir string) bool {
	state, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
	if err == nil {
		return strings.TrimSpace(string(state)) != "THAWED"
	}
	state, _ = os.ReadFile(filepath.Join(dir, "cgroup.freeze"))
	return strings.TrimSpace(string(state)) == "1"
}

// freezer gives the control group by which a container of this machine can be frozen. pid may be another's by now: the name of
// the group, which has the container's id, tells.
func (d *Driver) freezer(id string, pid int) (g cgroup.Group, ok bool) {
	if !d.config.shared() || pid <= 0 {
		return g, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return g, false
	}
	unified := ""
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) != 3 || !strings.Contains(parts[2], id) {
			continue
		}
		switch {
		case strings.Contains(","+parts[1]+",", ",freezer,"):
			return groupAt("cgroup", "freezer", parts[2])
		case parts[0] == "0":
			unified = parts[2]
		}
	}
	if unified == "" {
		return g, false
	}
	return groupAt("cgroup2", "", unified)
}

// groupAt finds the directory of a group, below where its hierarchy is mounted.
func groupAt(filesystem, option, path string) (g cgroup.Group, ok bool) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return g, false
	}
	for line := range strings.Lines(string(b)) {
		m := strings.Fields(line) // device, where, type, options, …
		if len(m) < 4 || m[2] != filesystem || option != "" && !strings.Contains(","+m[3]+",", ","+option+",") {
			continue
		}
		dir := filepath.Join(m[1], path)
		if _, err := os.Stat(dir); err == nil {
			return cgroup.Tree{cgroup.Freezer: filepath.Dir(dir)}.Group(filepath.Base(dir), cgroup.Freezer), true
		}
	}
	return g, false
}

// thaw lets the sandbox go on if somebody has paused it: whoever starts it or attaches to it wants to use it.
func (i *instance) thaw(ctx context.Context, paused bool) error {
	if err := i.d.thaw(ctx, i.container.id, i.pid, paused); err != nil {
		return coded{sandbox.Unavailable, err}
	}
	return nil
}
