package gvisor

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
		return nil, failed("gvisor.Start", spec.ID, err)
	}
	defer unlock()
	inst, err := d.start(ctx, h, spec)
	if err != nil {
		return nil, failed("gvisor.Start", spec.ID, err)
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
		case err == nil:
			return d.found(ctx, h, l, p, spec)
		case !errors.Is(err, held.ErrEnded):
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
	inst, err := d.place(ctx, h, &l, spec)
	if err == nil {
		inst.fresh = fresh
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
	return nil
}

func (l label) fenced(epoch uint64) error {
	return coded{sandbox.Conflict, fmt.Errorf("epoch %d holds it, which is newer than %d", l.Epoch, epoch)}
}

// renewed is the label of a sandbox that is to be started by spec; l is the old one, or zero for a new sandbox.
func (d *Driver) renewed(h home, l label, spec sandbox.Spec) label {
	l.ID, l.Owner, l.Epoch, l.Limits, l.Egress = spec.ID, spec.Owner, spec.Epoch, spec.Limits, spec.Egress
	if l.Mark != "" {
		return l
	}
	l.Created = time.Now().UTC()
	l.Mark = string(spec.ID) + "." + sandbox.RandomHex(8)
	if l.Workspace = h.ownWork(); spec.Workspace != "" {
		l.Workspace, l.Named = filepath.Clean(spec.Workspace), true
	}
	return l
}

// place starts a server and gives it what it needs, of which it notes in l what is not in the home. It leaves to the
// caller to undo what it made.
func (d *Driver) place(ctx context.Context, h home, l *label, spec sandbox.Spec) (*instance, error) {
	programs, err := d.binaries()
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
	s, err := d.spawn(h, *l, programs)
	if err != nil {
		return nil, err
	}
	defer s.close()
	// The doors come before the first program, which could take their place.
	err = d.letOut(h, *l, s.process)
	if err == nil {
		err = s.await(ctx, d.arguments(spec), d.told(key, spec, l.Mark))
	}
	if err != nil {
		s.process.Kill()
		return nil, fmt.Errorf("%w%s", err, lastWords(h.logFile()))
	}
	i := d.instance(h, *l, s.process, key)
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

// furnish makes the directories of the sandbox, and gives the key.
func (d *Driver) furnish(h home, l label) (key string, err error) {
	dirs := []string{h.boxDir(), h.homeDir()}
	if !l.Named {
		dirs = append(dirs, h.ownWork())
	}
	for _, dir := range dirs {
		switch err := os.Mkdir(dir, 0o700); {
		case errors.Is(err, fs.ErrExist): // it is revived, and what stands there is its user's
		case err != nil:
			return "", err
		default:
			inside := int(l.FirstID) + d.user().id
			if err := os.Lchown(dir, inside, inside); err != nil {
				return "", err
			}
		}
	}
	if err := h.clearSocket(); err != nil {
		return "", err
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
