package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// patience bounds what is undone after a failure; the engine takes 0.1 s for a container, and seconds on a busy machine.
const patience = 30 * time.Second

// Start starts a sandbox, revives it if its container has ended, or gives the living one. It returns when the server serves.
// When ctx ends before, what was begun is undone.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	if err := d.check(spec); err != nil {
		return nil, err
	}
	h := d.home(spec.ID)
	unlock, err := d.locker.Lock(ctx, string(h), true)
	if err != nil {
		return nil, failed("docker.Start", spec.ID, lockFailed(err))
	}
	defer unlock()
	inst, err := d.start(ctx, h, spec)
	if err != nil {
		if ctx.Err() != nil && codeOf(err) != sandbox.Conflict {
			err = coded{sandbox.Canceled, err}
		}
		return nil, failed("docker.Start", spec.ID, err)
	}
	return inst, nil
}

// lockFailed says of the end of a caller's patience what it was for.
func lockFailed(err error) error {
	if c := codeOf(err); c == sandbox.Canceled {
		return coded{c, fmt.Errorf("another start or stop of it is under way: %w", err)}
	}
	return err
}

// check says whether spec can be started at all. Nothing has been made yet.
func (d *Driver) check(spec sandbox.Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	if spec.Workspace == "" || !d.config.shared() {
		return nil
	}
	info, err := os.Stat(spec.Workspace)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", spec.Workspace)
	}
	if err == nil && filepath.Clean(spec.Workspace) != d.home(spec.ID).workspaceDir() { // its own is what it has anyway
		err = d.config.checkShown("spec.workspace", spec.Workspace)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &sandbox.Error{Code: sandbox.Denied, Op: "spec.workspace", ID: spec.ID, Err: err}
	case err != nil:
		return &sandbox.Error{Code: sandbox.Invalid, Op: "spec.workspace", ID: spec.ID, Err: err}
	}
	return nil
}

// start does it, under the home's lock.
func (d *Driver) start(ctx context.Context, h home, spec sandbox.Spec) (*instance, error) {
	l, err := h.read()
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	var there *container.InspectResponse // nil: there is no container
	if !fresh {
		if err := l.conflicts(spec); err != nil {
			return nil, err
		}
		if err := d.finishRestore(ctx, h, &l); err != nil {
			return nil, err
		}
		if there, err = d.inspect(ctx, l); err != nil {
			return nil, err
		}
		if there != nil && there.State.Running {
			i, err := d.found(ctx, h, l, spec)
			if !errors.Is(err, errEnded) {
				return i, err
			}
		}
	}
	var inst *instance
	if _, err = d.info(ctx); err == nil { // on it depends what follows; and it tells whether there is an engine at all
		if fresh {
			err = h.unbegun()
		}
		if err == nil {
			l, err = l.renewed(d, h, spec)
		}
		if err == nil && fresh && spec.From != "" {
			beginning, restored := trace.Step(ctx, sandbox.PhaseRestore)
			err = d.beginWith(beginning, h, &l, spec.From)
			restored(err)
		}
		if err == nil {
			inst, err = d.place(ctx, h, &l, spec, there)
		}
	}
	if err == nil {
		inst.fresh = fresh
		return inst, nil
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	undo := func() error { return d.kill(cleanup, l) }
	switch {
	case fresh:
		undo = func() error { return d.clear(cleanup, h, l) }
	case l.Container == "":
		return nil, err
	}
	if undone := undo(); undone != nil {
		err = errors.Join(err, undone)
	}
	return nil, err
}

// inspect looks at the container of a sandbox; nil if there is none. One that the engine could neither start nor remove is
// removed, so that another can be made.
func (d *Driver) inspect(ctx context.Context, l label) (*container.InspectResponse, error) {
	c, err := d.engine.ContainerInspect(ctx, l.Container)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case c.State.Dead || c.State.Status == container.StateRemoving:
		return nil, d.removeContainer(ctx, l.Container)
	}
	return &c, nil
}

// conflicts says why spec cannot be had where the sandbox labelled l is.
func (l label) conflicts(spec sandbox.Spec) error {
	if spec.Epoch < l.Epoch {
		return l.fenced(spec.Epoch)
	}
	if spec.Workspace != "" && filepath.Clean(spec.Workspace) != l.Workspace {
		return coded{sandbox.Conflict, fmt.Errorf("it works in %s, not in %s", l.Workspace, spec.Workspace)}
	}
	if spec.From != "" && spec.From != l.From {
		return coded{sandbox.Conflict, fmt.Errorf("it did not begin with the snapshot %q: take another id, or restore it", spec.From)}
	}
	return nil
}

func (l label) fenced(epoch uint64) error {
	return coded{sandbox.Conflict, fmt.Errorf("epoch %d holds it, which is newer than %d", l.Epoch, epoch)}
}

// renewed is the label of a sandbox that is to be started by spec; l is the old one, or zero for a new sandbox.
func (l label) renewed(d *Driver, h home, spec sandbox.Spec) (_ label, err error) {
	l.ID, l.Owner, l.Epoch = spec.ID, spec.Owner, spec.Epoch
	if l.Container == "" { // it is new
		l.Created = time.Now().UTC()
		l.Container = containerPrefix + string(spec.ID) + "-" + sandbox.RandomHex(8)
		l.InMemory = d.config.Storage == storageMemory
		if d.config.shared() && !l.InMemory {
			l.Workspace = h.workspaceDir()
		}
		if spec.Workspace != "" {
			l.Workspace, l.Named = filepath.Clean(spec.Workspace), true
		}
		l.UID, l.GID, err = d.user(l)
	}
	return l, err
}

// place starts the sandbox's container, which is made if it is not there. It leaves to the caller to undo what it made.
func (d *Driver) place(ctx context.Context, h home, l *label, spec sandbox.Spec, there *container.InspectResponse) (*instance, error) {
	program, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	if there != nil && l.Limits != spec.Limits {
		if lifts(l.Limits, spec.Limits) {
			return nil, coded{sandbox.Conflict, errors.New("its container has limits that the engine can change but not lift: name other ones, or remove it first")}
		}
		if err := d.limit(ctx, there.ID, spec.Limits); err != nil {
			return nil, err
		}
	}
	l.Limits, l.Egress, l.Audit = spec.Limits, spec.Egress, spec.Audit
	if _, err := l.tellsChanges(); err != nil {
		return nil, err
	}
	if err := h.write(*l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	if err := d.furnish(h, *l); err != nil {
		return nil, err
	}
	if err := d.link(*l); err != nil {
		return nil, err
	}
	key, err := h.makeKey()
	if err != nil {
		return nil, err
	}
	var id string
	if there != nil {
		id = there.ID
	} else if id, err = d.create(ctx, h, *l, spec, program); err != nil {
		l.noContainer(there, err)
		return nil, err
	}
	run, c, err := d.launch(ctx, id, key, spec)
	if there != nil && lost(err) {
		d.log.Warn("the engine has lost count of a container, which is replaced", "id", spec.ID, "err", err)
		if err = errors.Join(d.killStrays(ctx, id), d.removeContainer(ctx, id)); err == nil {
			id, err = d.create(ctx, h, *l, spec, program)
		}
		if err == nil {
			run, c, err = d.launch(ctx, id, key, spec)
		}
	}
	if err != nil {
		return nil, err
	}
	i := d.newInstance(h, *l, run, c, key)
	i.served = true
	if err := i.watchFiles(ctx); err != nil {
		return nil, err
	}
	if d.filtered() {
		_, out := trace.Step(ctx, sandbox.PhaseNetwork)
		err = i.letOut()
		out(err)
	}
	return i, err
}

// noContainer notes that there is nothing to undo in an engine that could not be reached: it would fail.
func (l *label) noContainer(there *container.InspectResponse, err error) {
	if there == nil && client.IsErrConnectionFailed(err) {
		l.Container = ""
	}
}
