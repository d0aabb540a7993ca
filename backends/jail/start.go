package jail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// Start starts a sandbox, revives it if its server has died, or gives the living one. It returns when the server
// serves. When ctx ends before, what was begun is undone.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	if err := d.admits(spec); err != nil {
		return nil, err
	}
	h := d.home(spec.ID)
	unlock, err := d.lock(ctx, h, true)
	if err != nil {
		return nil, failed("jail.Start", spec.ID, err)
	}
	defer unlock()
	inst, err := d.start(ctx, h, spec)
	if err != nil {
		return nil, failed("jail.Start", spec.ID, err)
	}
	return inst, nil
}

// admits says whether spec can be started at all. Nothing has been made yet. Codes: Invalid, Unsupported, Denied.
func (d *Driver) admits(spec sandbox.Spec) error {
	if err := check(spec); err != nil {
		return err
	}
	if w := spec.Workspace; w != "" && filepath.Clean(w) != d.home(spec.ID).ownWork() { // which it can be asked for with, once it is there
		if err := backends.CheckShown("spec.workspace", w, d.config.StateDir); err != nil {
			return err
		}
	}
	refuse := func(code sandbox.Code, field string, err error) error {
		return &sandbox.Error{Code: code, Op: field, ID: spec.ID, Err: err}
	}
	switch disk := spec.Limits.Disk; {
	case disk > 0 && spec.Workspace != "":
		return refuse(sandbox.Unsupported, "limits.disk", errors.New("the workspace is a directory of the host, which is not bounded: leave it to the sandbox, or disk"))
	case disk > 0 && disk < leastDisk:
		return refuse(sandbox.Invalid, "limits.disk", fmt.Errorf("want at least %d bytes, have %d", leastDisk, disk))
	}
	return nil
}

// check says whether the workspace can be one.
func check(spec sandbox.Spec) error {
	if err := spec.Check(); err != nil || spec.Workspace == "" {
		return err
	}
	info, err := os.Stat(spec.Workspace)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", spec.Workspace)
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
	if !fresh {
		if err := l.conflicts(spec); err != nil {
			return nil, err
		}
		switch p, err := d.server(h); {
		case err == nil && l.Pending != nil: // a snapshot was cut off
			if err := d.abandon(ctx, l, p); err != nil {
				return nil, err
			}
		case err == nil:
			return d.found(ctx, h, l, p, spec)
		case !errors.Is(err, held.ErrEnded):
			return nil, err
		}
		if err := errors.Join(d.settle(h, &l), h.goOn()); err != nil {
			return nil, err
		}
		sweeping, cancel := context.WithTimeout(ctx, reap.Patience)
		err := d.ungroup(sweeping, l) // a new one counts from zero, and takes other limits in any order
		cancel()
		if err != nil {
			return nil, err
		}
	}
	l = d.renewed(h, l, spec)
	var inst *instance
	if fresh && spec.From != "" {
		err = d.beginWith(ctx, h, &l, spec.From)
	} else {
		err = nil
	}
	if err == nil {
		inst, err = d.place(ctx, h, &l, spec)
	}
	if err == nil {
		inst.fresh = fresh || l.InMemory // of one that is revived in memory nothing is left, also not what it did
		return inst, nil
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	if fresh {
		return nil, errors.Join(err, d.clear(cleanup, h, l))
	}
	return nil, errors.Join(err, d.sweep(cleanup, l))
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
	return l.conflictsOfDisk(spec.Limits)
}

func (l label) fenced(epoch uint64) error {
	return coded{sandbox.Conflict, fmt.Errorf("epoch %d holds it, which is newer than %d", l.Epoch, epoch)}
}

// renewed is the label of a sandbox that is to be started by spec; l is the old one, or zero for a new sandbox.
func (d *Driver) renewed(h home, l label, spec sandbox.Spec) label {
	l.ID, l.Owner, l.Epoch, l.Limits, l.Egress, l.Audit = spec.ID, spec.Owner, spec.Epoch, spec.Limits, spec.Egress, spec.Audit
	if l.InMemory {
		l.DiskSize = d.diskSize(spec.Limits) // it is made anew
	}
	if l.Mark != "" {
		return l
	}
	l.Created = time.Now().UTC()
	l.Mark = newMark()
	if l.Imaged, l.InMemory = d.imaged(spec.Limits), d.inMemory(); l.Imaged {
		l.DiskSize = d.diskSize(spec.Limits)
	}
	switch {
	case spec.Workspace != "":
		l.Workspace, l.Named = filepath.Clean(spec.Workspace), true
	case !l.Imaged: // else the host does not see it
		l.Workspace = h.ownWork()
	}
	return l
}

// place starts a server and gives it what it needs, of which it notes in l what is not in the home. It leaves to the
// caller to undo what it made.
func (d *Driver) place(ctx context.Context, h home, l *label, spec sandbox.Spec) (*instance, error) {
	program, err := d.sandboxd()
	if err == nil {
		err = d.suffices()
	}
	if err != nil {
		return nil, err
	}
	if err := d.resolve(l); err != nil {
		return nil, err
	}
	if err := d.claim(l); err != nil {
		return nil, err
	}
	if err := h.write(*l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	key, err := d.furnish(h, *l)
	if err != nil {
		return nil, err
	}
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	s, err := d.spawn(h, *l, program, d.arguments(spec))
	if spawned(err); err != nil {
		return nil, err
	}
	return d.hand(ctx, h, *l, spec, s, key)
}

// hand tells a server that waits what it is to be, and gives the sandbox when it serves.
func (d *Driver) hand(ctx context.Context, h home, l label, spec sandbox.Spec, s *spawned, key string) (*instance, error) {
	defer s.close()
	// Its doors are there before it serves, so they are waited for at the same time.
	out := make(chan error, 1)
	go func() { out <- d.letOut(ctx, h, l, s.process) }()
	waiting, booted := trace.Step(ctx, sandbox.PhaseBoot)
	err := s.await(waiting, key, append(d.programs(spec, l.Mark), whose(spec)...))
	if booted(err); err != nil {
		s.process.Kill() // which ends the other waiting too
		err = fmt.Errorf("%w%s", err, lastWords(h.logFile()))
	}
	if outErr := <-out; err == nil && outErr != nil {
		s.process.Kill()
		err = outErr
	}
	if err != nil {
		return nil, err
	}
	d.hear(h, l, s.process)
	i := d.instance(h, l, s.process, key)
	i.served = true
	return i, nil
}

// resolve notes where a named workspace is, links followed, the first time it is shown. Later starts show that and nothing
// else: what its programs can write to may hold a part of the path, which they could make a link to elsewhere.
func (d *Driver) resolve(l *label) error {
	if !l.Named || l.Resolved != "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(l.Workspace)
	if err != nil {
		return coded{sandbox.Invalid, err}
	}
	if err := backends.CheckShown("spec.workspace", real, d.config.StateDir); err != nil {
		return coded{sandbox.Invalid, err}
	}
	l.Resolved = real
	return nil
}

// furnish makes what the jail is made of, and gives the key.
func (d *Driver) furnish(h home, l label) (key string, err error) {
	if l.Imaged {
		if err := d.makeImage(h, l); err != nil {
			return "", err
		}
		return h.makeKey()
	}
	dirs := []string{h.stateDir(), h.homeDir()}
	if len(l.Layers) > 0 {
		dirs = dirs[:1]
	} else if !l.Named {
		dirs = append(dirs, h.ownWork())
	}
	for _, dir := range dirs {
		switch err := os.Mkdir(dir, 0o700); {
		case errors.Is(err, fs.ErrExist): // it is revived, and what stands there is its user's
		case err != nil:
			return "", err
		case l.FirstID != 0:
			inside := int(l.FirstID) + d.user().id
			if err := os.Lchown(dir, inside, inside); err != nil {
				return "", err
			}
		}
	}
	return h.makeKey()
}

// makeKey gives the key of the home, which is made once: a revived server has the one that clients know.
func (h home) makeKey() (string, error) {
	if key, err := h.key(); err == nil && key != "" {
		return key, nil
	}
	key := sandbox.RandomHex(32)
	return key, held.Replace(h.keyFile(), []byte(key+"\n"))
}
