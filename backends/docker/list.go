package docker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Attach finds a sandbox whose container runs.
func (d *Driver) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	h := d.home(id)
	l, err := h.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = errRemoved
	}
	var i *instance
	if err == nil {
		var c *container.InspectResponse
		switch c, err = d.inspect(ctx, l); {
		case err != nil:
		case c == nil || !c.State.Running || l.Restoring != "":
			err = errEnded
		default:
			i, err = d.instance(ctx, h, l)
		}
	}
	if err != nil {
		return nil, failed("docker.Attach", id, err)
	}
	return i, nil
}

// List names the sandboxes of owner, or all: those that have a home, and containers that have lost theirs.
func (d *Driver) List(ctx context.Context, owner string) ([]backends.Listed, error) {
	d.removeBlanks(ctx)
	entries, err := os.ReadDir(d.root) // first: what is made meanwhile has a home before it has a container
	if err != nil {
		return nil, failed("docker.List", "", err)
	}
	containers, err := d.containers(ctx)
	if client.IsErrConnectionFailed(err) && !anyHome(entries) {
		return nil, nil // most machines have no engine, and whoever looks for orphans asks all drivers
	}
	if err != nil {
		return nil, failed("docker.List", "", err)
	}
	var list []backends.Listed
	for _, e := range entries {
		id := sandbox.ID(e.Name())
		if id.Check() != nil {
			continue // being removed
		}
		h := d.home(id)
		l, err := h.read()
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // else it is being made, or removed
				d.log.Warn("the label of a sandbox cannot be read", "id", id, "err", err)
			}
			continue
		}
		c, there := containers[l.Container]
		delete(containers, l.Container)
		if owner == "" || l.Owner == owner {
			list = append(list, backends.Listed{ID: l.ID, Owner: l.Owner, Epoch: l.Epoch, Created: l.Created, Workspace: l.Workspace,
				Exited: !(there && alive(c.State)) && !held.Locked(string(h))})
		}
	}
	for _, c := range containers {
		l, ok := d.homeless(c)
		if ok && (owner == "" || l.Owner == owner) {
			list = append(list, l)
		}
	}
	return list, nil
}

func anyHome(entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return sandbox.ID(e.Name()).Check() == nil })
}

// containers are those of this state directory, by name.
func (d *Driver) containers(ctx context.Context) (map[string]container.Summary, error) {
	all, err := d.engine.ContainerList(ctx, container.ListOptions{All: true,
		Filters: filters.NewArgs(filters.Arg("label", labelPrefix+"system="+d.system))})
	if err != nil {
		return nil, err
	}
	byName := map[string]container.Summary{}
	for _, c := range all {
		for _, name := range c.Names {
			byName[strings.TrimPrefix(name, "/")] = c
		}
	}
	return byName, nil
}

func alive(s container.ContainerState) bool {
	return s == container.StateRunning || s == container.StatePaused || s == container.StateRestarting
}

// homeless tells of a container whose home somebody has removed by hand: nobody can attach to it, but it can be removed. ok is
// false if there is a home of that id now, which has another container.
func (d *Driver) homeless(c container.Summary) (l backends.Listed, ok bool) {
	id := sandbox.ID(c.Labels[labelPrefix+"id"])
	if id == "" {
		id = d.adoptedBy(c)
	}
	if id.Check() != nil {
		return l, false
	}
	if _, err := os.Stat(string(d.home(id))); err == nil {
		return l, false
	}
	epoch, _ := strconv.ParseUint(c.Labels[labelPrefix+"epoch"], 10, 64)
	return backends.Listed{ID: id, Owner: c.Labels[labelPrefix+"owner"], Epoch: epoch, Created: time.Unix(c.Created, 0), Exited: true}, true
}

// removeHomeless removes the containers of an id that have no home.
func (d *Driver) removeHomeless(ctx context.Context, id sandbox.ID) error {
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	for name, c := range all {
		if l, ok := d.homeless(c); ok && l.ID == id {
			if err := errors.Join(d.removeContainer(ctx, name), d.removeVolumes(ctx, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
