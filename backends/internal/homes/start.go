package homes

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

// A Placer is Kind.Place, or another one that has something to place with.
type Placer[L any] func(ctx context.Context, h Home, l *L, spec sandbox.Spec, fresh bool) (*Instance[L], error)

// Start starts a sandbox, revives it if its server has died, or gives the living one. It returns when the server serves. When ctx
// ends before, what was begun is undone.
func (e *Homes[L]) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	return e.StartBy(ctx, spec, e.kind.Place)
}

// StartBy is Start that, where it needs a server, has it placed by another than Kind.Place.
func (e *Homes[L]) StartBy(ctx context.Context, spec sandbox.Spec, place Placer[L]) (backends.Instance, error) {
	if err := e.Admits(spec); err != nil {
		return nil, err
	}
	h := e.Home(spec.ID)
	unlock, err := e.LockHome(ctx, h, true)
	if err != nil {
		return nil, e.Failed("Start", spec.ID, err)
	}
	defer unlock()
	inst, err := e.start(ctx, h, spec, place)
	if err != nil {
		return nil, e.Failed("Start", spec.ID, err)
	}
	return e.kind.Instance(inst), nil
}

// Admits says whether spec can be started at all. Nothing has been made yet. Codes: Invalid, Unsupported, Denied.
func (e *Homes[L]) Admits(spec sandbox.Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	if w := spec.Workspace; w != "" {
		if err := checkWorkspace(spec); err != nil {
			return err
		}
		if e.kind.Confined && filepath.Clean(w) != e.Home(spec.ID).OwnWork() { // which it can be asked for with, once it is there
			if err := backends.CheckShown("spec.workspace", w, e.kind.StateDir); err != nil {
				return err
			}
		}
	}
	if e.kind.Confined {
		if err := checkBounds(spec); err != nil {
			return err
		}
	}
	if e.kind.Check == nil {
		return nil
	}
	return e.kind.Check(spec)
}

// checkWorkspace says whether the named workspace can be one.
func checkWorkspace(spec sandbox.Spec) error {
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
func (e *Homes[L]) start(ctx context.Context, h Home, spec sandbox.Spec, place Placer[L]) (*Instance[L], error) {
	l := new(L)
	err := h.Read(l)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	if !fresh {
		if err := e.conflicts(l, spec); err != nil {
			return nil, err
		}
		switch p, err := e.Server(h); {
		case err == nil:
			ended, err := e.abandon(ctx, l, p)
			if err != nil {
				return nil, err
			}
			if !ended {
				return e.found(ctx, h, l, p, spec)
			}
		case !errors.Is(err, held.ErrEnded):
			return nil, err
		}
		if err := e.revive(ctx, h, l); err != nil {
			return nil, err
		}
	}
	e.Renew(h, l, spec)
	inst, err := place(ctx, h, l, spec, fresh)
	if err == nil {
		inst.fresh = inst.fresh || fresh
		return inst, nil
	}
	return nil, errors.Join(err, e.undo(ctx, h, l, fresh))
}

// undo clears away what a start has made of a sandbox: all of it, if it is new.
func (e *Homes[L]) undo(ctx context.Context, h Home, l *L, fresh bool) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	if fresh {
		return e.Clear(cleanup, h, l)
	}
	return e.sweep(cleanup, h, l)
}

func (e *Homes[L]) conflicts(l *L, spec sandbox.Spec) error {
	if err := e.kind.Common(l).Conflicts(spec); err != nil || e.kind.Conflicts == nil {
		return err
	}
	return e.kind.Conflicts(l, spec)
}

func (e *Homes[L]) abandon(ctx context.Context, l *L, p *held.Process) (ended bool, err error) {
	if e.kind.Abandon == nil {
		return false, nil
	}
	return e.kind.Abandon(ctx, l, p)
}

func (e *Homes[L]) revive(ctx context.Context, h Home, l *L) error {
	if e.kind.Revive == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reap.Patience)
	defer cancel()
	return e.kind.Revive(ctx, h, l)
}

// Renew makes of l, which is zero for a new sandbox, the label of one that is to be started by spec.
func (e *Homes[L]) Renew(h Home, l *L, spec sandbox.Spec) {
	c := e.kind.Common(l)
	c.ID, c.Owner, c.Epoch, c.Limits = spec.ID, spec.Owner, spec.Epoch, spec.Limits
	if e.filters() {
		c.Egress = spec.Egress
	}
	if c.Mark == "" {
		c.Created = time.Now().UTC()
		if c.Workspace = h.OwnWork(); spec.Workspace != "" {
			c.Workspace, c.Named = filepath.Clean(spec.Workspace), true
		}
	}
	if e.kind.Renew != nil {
		e.kind.Renew(h, l, spec)
	}
	if c.Mark == "" {
		c.Mark = string(spec.ID) + "." + sandbox.RandomHex(8)
	}
}

// Resolve notes where a named workspace is, links followed, the first time it is shown. Later starts show that and nothing
// else: what its programs can write to may hold a part of the path, which they could make a link to elsewhere.
func (e *Homes[L]) Resolve(l *Label) error {
	if !l.Named || l.Resolved != "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(l.Workspace)
	if err == nil {
		err = backends.CheckShown("spec.workspace", real, e.kind.StateDir)
	}
	if err != nil {
		return Coded(sandbox.Invalid, err)
	}
	l.Resolved = real
	return nil
}

// MakeDirs makes directories of a home, for its user, whose number on the host is owner; -1 is whoever we are. One that is there
// already is of a sandbox that is revived: what stands there is its user's.
func MakeDirs(owner int, dirs ...string) error {
	for _, dir := range dirs {
		switch err := os.Mkdir(dir, 0o700); {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return err
		case owner >= 0:
			if err := os.Lchown(dir, owner, owner); err != nil {
				return err
			}
		}
	}
	return nil
}
