package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Snapshot is what files a sandbox had at one moment.
type Snapshot = backends.Snapshot

// Snapshot keeps what files the sandbox has, under a name, "" for one that is made. It waits its turn behind the actions that were
// asked for before, and no action runs meanwhile. It is on record, with how long programs stood still and how much it holds.
// Codes: Invalid, Conflict (there is one of that name; or the sandbox failed meanwhile), Unsupported (the backend makes none),
// Exhausted.
func (r *Runtime) Snapshot(ctx context.Context, name string) (Snapshot, error) {
	done := make(chan Snapshot, 1)
	err := r.steward.Alone(ctx, func(ctx context.Context, s actors.Sandbox) error {
		able, ok := s.(interface {
			Snapshot(ctx context.Context, name string) (Snapshot, error)
		})
		if !ok {
			return &sandbox.Error{Code: sandbox.Unsupported, Op: "runtime.Snapshot", ID: r.id}
		}
		made, err := able.Snapshot(ctx, name)
		if err == nil {
			done <- made
		}
		return err
	})
	if err != nil {
		return Snapshot{}, err
	}
	made := <-done
	if b := r.s.backends[made.Backend]; b != nil && made.Size < 0 { // which takes longer than to make it, and nobody waits for it
		if counted, err := b.Snapshot(ctx, made.Name); err == nil {
			made = counted
		}
	}
	return made, r.recordSnapshot(ctx, "snapshot", made)
}

func (r *Runtime) recordSnapshot(ctx context.Context, what string, s Snapshot) error {
	body, err := json.Marshal(struct {
		Audit    string   `json:"audit"`
		Snapshot Snapshot `json:"snapshot"`
	}{what, s})
	if err != nil {
		return err
	}
	return r.Record(ctx, journal.TypeAudit, body)
}

// Snapshots are those of all backends, by backend and time. The error is of backends that could not be asked; what is told of
// the others is good.
func (s *System) Snapshots(ctx context.Context) ([]Snapshot, error) {
	var all []Snapshot
	var errs []error
	for _, name := range s.backendNames() {
		of, err := s.backends[name].Snapshots(ctx)
		all, errs = append(all, of...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// FindSnapshot is the one of that name. Codes: NotFound, Conflict (several backends have one).
func (s *System) FindSnapshot(ctx context.Context, name string) (Snapshot, error) {
	var found []Snapshot
	all, err := s.Snapshots(ctx)
	for _, one := range all {
		if one.Name == name {
			found = append(found, one)
		}
	}
	fail := func(code sandbox.Code, err error) (Snapshot, error) {
		return Snapshot{}, &sandbox.Error{Code: code, Op: "snapshot", Err: err}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return fail(sandbox.Conflict, fmt.Errorf("backends %s and %s each have a snapshot %q", found[0].Backend, found[1].Backend, name))
	case err != nil:
		return Snapshot{}, err
	}
	return fail(sandbox.NotFound, backends.NoSnapshot(name))
}

// RemoveSnapshot removes the snapshot of that name. Runtimes that began with it, or were restored from it, keep their files.
// Codes: NotFound, Conflict.
func (s *System) RemoveSnapshot(ctx context.Context, name string) error {
	found, err := s.FindSnapshot(ctx, name)
	if err != nil {
		return err
	}
	return s.backends[found.Backend].RemoveSnapshot(ctx, name)
}

// Fork gives a new runtime of spec whose sandbox begins with the files of a snapshot, on the same backend. Codes: NotFound (no
// such snapshot), Conflict (there is a runtime of that id which did not begin with it), and those of Runtime.
func (s *System) Fork(ctx context.Context, name string, spec sandbox.Spec) (*Runtime, error) {
	found, err := s.FindSnapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	spec.From = name
	r, err := s.OpenRuntime(ctx, found.Backend, spec)
	if err != nil {
		return nil, err
	}
	return r, r.recordSnapshot(ctx, "fork", found)
}

// Restore gives the runtime of spec.ID the files of a snapshot instead of its own. What runs in its sandbox is ended, an action
// too, whose observation then is that it was interrupted; what was done stays done, and is not done again. The runtime is
// closed if it is driven here, and the one that is returned is in its place; spec is as for Runtime.
// Codes: NotFound (no such runtime, sandbox or snapshot), Conflict (another process drives it; or the snapshot is another backend's),
// Unsupported (the backend cannot, or the workspace is the caller's), and those of Runtime.
func (s *System) Restore(ctx context.Context, name string, spec sandbox.Spec) (*Runtime, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	found, err := s.FindSnapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	row, err := s.journal.Runtime(ctx, spec.ID)
	if err != nil {
		return nil, err
	}
	if row.Backend != found.Backend {
		return nil, &sandbox.Error{Code: sandbox.Conflict, Op: "restore", ID: spec.ID, Err: fmt.Errorf(
			"it is on backend %q, and the snapshot on %q: start another runtime from the snapshot", row.Backend, found.Backend)}
	}
	if r, err := s.Find(ctx, spec.ID); err == nil {
		if err := r.Close(ctx); sandbox.CodeOf(err) == sandbox.Canceled {
			return nil, err
		} // else it has ended by itself, which is what is wanted
	}
	lease, err := s.journal.Acquire(ctx, spec.ID, s.owner, s.cfg.LeaseTTL)
	if err != nil {
		return nil, err
	}
	err = s.backends[found.Backend].Restore(ctx, spec.ID, lease.Epoch(), name)
	if released := lease.Release(context.WithoutCancel(ctx)); err == nil {
		err = released
	}
	if err != nil {
		return nil, err
	}
	r, err := s.OpenRuntime(ctx, found.Backend, spec)
	if err != nil {
		return nil, err
	}
	return r, r.recordSnapshot(ctx, "restore", found)
}

// ArchiveBounds are how much an archive of a snapshot may hold.
type ArchiveBounds = backends.ArchiveBounds

// Export writes a snapshot to w as an archive: see backends.Backend.Export. Codes: NotFound, Conflict, Unsupported, Exhausted.
func (s *System) Export(ctx context.Context, name string, w io.Writer, bounds ArchiveBounds) error {
	found, err := s.FindSnapshot(ctx, name)
	if err != nil {
		return err
	}
	return s.backends[found.Backend].Export(ctx, name, w, bounds)
}

// Import makes a snapshot on a backend, "" for the default, of an archive, which may be a stranger's: see backends.Backend.Import.
// name "" is the one that it had. Codes: Invalid, Conflict (there is one of that name), Exhausted, Unsupported.
func (s *System) Import(ctx context.Context, backend, name string, r io.Reader, bounds ArchiveBounds) (Snapshot, error) {
	b, err := s.backendOf(ctx, cmp.Or(backend, s.cfg.Default), "")
	if err != nil {
		return Snapshot{}, err
	}
	return b.Import(ctx, name, r, bounds)
}
