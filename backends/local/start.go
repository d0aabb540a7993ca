package local

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
	return d.startBy(ctx, spec, nil)
}

// startBy is Start that makes b the server, if it needs a new one and b is not nil.
func (d *Driver) startBy(ctx context.Context, spec sandbox.Spec, b *blank) (backends.Instance, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	h := d.home(spec.ID)
	unlock, err := d.lock(ctx, h, true)
	if err != nil {
		return nil, failed("local.Start", spec.ID, err)
	}
	defer unlock()
	inst, err := d.start(ctx, h, spec, b)
	if err != nil {
		return nil, failed("local.Start", spec.ID, err)
	}
	return inst, nil
}

// check says whether spec can be started at all. Nothing has been made yet.
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
func (d *Driver) start(ctx context.Context, h home, spec sandbox.Spec, b *blank) (*instance, error) {
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
			return d.found(h, l, p, spec)
		case !errors.Is(err, held.ErrEnded):
			return nil, err
		}
		// Before anybody hears that what the dead server ran was interrupted, it is.
		sweeping, cancel := context.WithTimeout(ctx, reap.Patience)
		err := d.sweep(sweeping, h, l)
		cancel()
		if err == nil {
			err = h.goOn() // with what was being restored
		}
		if err != nil {
			return nil, err
		}
	}
	l = l.renewed(h, spec)
	err = nil
	if fresh && spec.From != "" {
		if err = d.fetch(ctx, h, spec.From); err == nil {
			err = h.replace()
		}
	}
	var inst *instance
	if err == nil {
		inst, err = d.place(ctx, h, &l, spec, b)
	}
	if err == nil {
		inst.fresh = fresh
		return inst, nil
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	if fresh {
		return nil, errors.Join(err, d.clear(cleanup, h, l))
	}
	return nil, errors.Join(err, d.sweep(cleanup, h, l))
}

// found labels a living sandbox for the one who asks for it now.
func (d *Driver) found(h home, l label, p *held.Process, spec sandbox.Spec) (*instance, error) {
	key, err := h.key()
	if err != nil {
		return nil, err
	}
	if l.Owner != spec.Owner || l.Epoch != spec.Epoch {
		l.Owner, l.Epoch = spec.Owner, spec.Epoch
		if err := h.write(l); err != nil {
			return nil, err
		}
	}
	i := d.instance(h, l, p, key)
	i.found = true
	return i, nil
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
func (l label) renewed(h home, spec sandbox.Spec) label {
	l.ID, l.Owner, l.Epoch, l.Limits = spec.ID, spec.Owner, spec.Epoch, spec.Limits
	if l.Mark == "" { // it is new
		l.Created, l.From = time.Now().UTC(), spec.From
		l.Mark = string(spec.ID) + "." + sandbox.RandomHex(8)
		l.Workspace, l.Named = h.path("workspace"), false
		if spec.Workspace != "" {
			l.Workspace, l.Named = filepath.Clean(spec.Workspace), true
		}
	}
	return l
}

// place starts a server and gives it what it needs, of which it notes in l what is not in the home. It leaves to the
// caller to undo what it made.
func (d *Driver) place(ctx context.Context, h home, l *label, spec sandbox.Spec, b *blank) (*instance, error) {
	program, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	if err := l.makeSocketDir(h); err != nil {
		return nil, err
	}
	bound, err := bind(l)
	if err != nil {
		return nil, err
	}
	if err := h.write(*l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	// A program takes milliseconds before it looks for what it needs, and that is enough to make it.
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	s, err := d.serve(h, *l, program, arguments(h, *l, spec, bound), b)
	if spawned(err); err != nil {
		return nil, err
	}
	defer s.close()
	ctx, booted := trace.Step(ctx, sandbox.PhaseBoot)
	key, err := h.furnish(*l, bound)
	if err == nil {
		err = s.await(ctx, key, d.programs(h, spec, l.Mark))
	}
	if booted(err); err != nil {
		s.process.Kill()
		return nil, fmt.Errorf("%w%s", err, lastWords(h.logFile()))
	}
	i := d.instance(h, *l, s.process, key)
	i.served = true
	return i, nil
}

// furnish makes what a server finds when it looks around, and gives the key.
func (h home) furnish(l label, b bounds) (key string, err error) {
	if err := b.make(l.Cgroup); err != nil {
		return "", err
	}
	dirs := []string{h.stateDir(), h.homeDir()}
	if !l.Named {
		dirs = append(dirs, h.path("workspace"))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
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
