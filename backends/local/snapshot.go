package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// A snapshot is a copy: a directory in .snapshots with the workspace and, unless all sandboxes share one, the home. Nothing
// stands still while it is made: what programs write meanwhile may be in it or not.

var (
	_ backends.Snapshotter    = (*instance)(nil)
	_ backends.SnapshotKeeper = (*Driver)(nil)
)

const (
	partHome = "home"
	partWork = "workspace"
	// restoring and restored are directories of a home in which files wait that are to take the place of its own, and that take it
	// now, which whoever comes next goes on with.
	restoring = ".restoring"
	restored  = ".restored"
)

func (d *Driver) snapshots() shelf.Shelf { return shelf.Shelf(filepath.Join(d.root, ".snapshots")) }

// parts are what a snapshot holds.
func (d *Driver) parts() []string {
	if d.config.Home != "" {
		return []string{partWork}
	}
	return []string{partHome, partWork}
}

// Snapshot copies the sandbox's workspace, and its home.
func (i *instance) Snapshot(ctx context.Context, name string, _ backends.Aside) (backends.Snapshot, error) {
	made, err := i.snapshot(ctx, name)
	if err != nil {
		return made, i.d.homes.Failed("Snapshot", i.ID(), err)
	}
	return made, nil
}

func (i *instance) snapshot(ctx context.Context, name string) (made backends.Snapshot, err error) {
	unlock, l, err := i.LockLiving(ctx)
	if err != nil {
		return made, err
	}
	defer unlock()
	begun := time.Now()
	err = i.d.snapshots().Put(name, func(dir string) (any, error) {
		made = backends.Snapshot{Name: name, Of: l.ID, Created: time.Now().UTC(), Holds: i.d.parts(), Way: backends.WayCopy}
		for _, part := range made.Holds {
			from := i.Home.Path(part)
			if part == partWork {
				from = l.Workspace
			}
			stats, err := trees.Copying{}.Copy(ctx, from, filepath.Join(dir, part))
			if err != nil {
				return nil, fmt.Errorf("copy the %s: %w", part, err)
			}
			made.Size, made.Files = made.Size+stats.Bytes, made.Files+stats.Files
		}
		made.Took = time.Since(begun)
		return made, nil
	})
	if errors.Is(err, shelf.ErrTaken) {
		err = taken(name)
	}
	return made, err
}

func taken(name string) error {
	return homes.Coded(sandbox.Conflict, fmt.Errorf("there is a snapshot %q already: give another name, or remove it first", name))
}

// Snapshots are all that there are.
func (d *Driver) Snapshots(context.Context) ([]backends.Snapshot, error) {
	names, err := d.snapshots().Names()
	if err != nil {
		return nil, homes.Failed("local.Snapshots", "", err)
	}
	var all []backends.Snapshot
	for _, name := range names {
		var s backends.Snapshot
		if err := d.snapshots().Read(name, &s); err == nil {
			all = append(all, s)
		} else if !errors.Is(err, os.ErrNotExist) {
			d.log.Warn("a snapshot cannot be read", "snapshot", name, "err", err)
		}
	}
	return all, nil
}

// RemoveSnapshot removes a snapshot.
func (d *Driver) RemoveSnapshot(_ context.Context, name string) error {
	if err := d.snapshots().Remove(name); err != nil {
		return homes.Failed("local.RemoveSnapshot", "", err)
	}
	return nil
}

// Restore ends what runs in a sandbox and gives it the files of a snapshot.
func (d *Driver) Restore(ctx context.Context, id sandbox.ID, epoch uint64, name string) error {
	h := d.home(id)
	unlock, err := d.homes.LockHome(ctx, h.Home, false)
	if errors.Is(err, os.ErrNotExist) {
		err = homes.ErrRemoved
	}
	if err == nil {
		defer unlock()
		err = d.restore(ctx, h, epoch, name)
	}
	if err != nil {
		return homes.Failed("local.Restore", id, err)
	}
	return nil
}

func (d *Driver) restore(ctx context.Context, h home, epoch uint64, name string) error {
	l, err := h.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return homes.ErrRemoved
	case err != nil:
		return err
	case l.Epoch > epoch:
		return l.Fenced(epoch)
	case l.Named:
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("it works in %s, which is not the sandbox's to replace: start another sandbox from the snapshot", l.Workspace))
	}
	if err := d.fetch(ctx, h, name); err != nil { // before anything is ended
		return err
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*reap.Patience)
	defer cancel()
	p, err := d.homes.Server(h.Home)
	if err == nil {
		err = d.homes.Kill(cleanup, p)
	}
	if err != nil && !errors.Is(err, held.ErrEnded) {
		return err
	}
	if err := sweep(cleanup, h.Home, &l); err != nil {
		return err
	}
	return h.replace()
}

// fetch copies the files of a snapshot into a home, to wait there.
func (d *Driver) fetch(ctx context.Context, h home, name string) error {
	var s backends.Snapshot
	if err := d.snapshots().Read(name, &s); errors.Is(err, os.ErrNotExist) {
		return homes.Coded(sandbox.NotFound, backends.NoSnapshot(name))
	} else if err != nil {
		return err
	}
	if err := errors.Join(held.RemoveTree(h.Path(restoring)), held.RemoveTree(h.Path(restored)), os.Mkdir(h.Path(restoring), 0o700)); err != nil {
		return err
	}
	for _, part := range s.Holds {
		from := filepath.Join(d.snapshots().Path(name), part)
		if _, err := (trees.Copying{}).Copy(ctx, from, filepath.Join(h.Path(restoring), part)); err != nil {
			return errors.Join(fmt.Errorf("copy the %s: %w", part, err), held.RemoveTree(h.Path(restoring)))
		}
	}
	if err := d.snapshots().Read(name, &s); errors.Is(err, os.ErrNotExist) { // what is removed meanwhile is copied in part
		return errors.Join(homes.Coded(sandbox.NotFound, backends.NoSnapshot(name)), held.RemoveTree(h.Path(restoring)))
	} else if err != nil {
		return err
	}
	return nil
}

// unbegun removes from a home without a label, which is nobody's yet, what a start that was cut off has put there.
func (h home) unbegun() error {
	var errs []error
	for _, part := range []string{restoring, restored, partHome, partWork} {
		errs = append(errs, held.RemoveTree(h.Path(part)))
	}
	return errors.Join(errs...)
}

// replace puts the files that wait in a home, whose server has ended, in the place of its own.
func (h home) replace() error {
	if err := os.Rename(h.Path(restoring), h.Path(restored)); err != nil {
		return err
	}
	return h.goOn()
}

// goOn does so where it was begun and cut off.
func (h home) goOn() error {
	for _, part := range []string{partHome, partWork} {
		from := filepath.Join(h.Path(restored), part)
		if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := errors.Join(held.RemoveTree(h.Path(part)), os.Rename(from, h.Path(part))); err != nil {
			return err
		}
	}
	return errors.Join(held.RemoveTree(h.Path(restored)), held.RemoveTree(h.Path(restoring)))
}
