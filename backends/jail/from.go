package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// openLayers gives the mounts of a sandbox's layers, by where they are in the jail; none if it has no layers. If one of them is in
// its image, it is everything that the jail sees of that.
func (d *Driver) openLayers(h home, l label) (map[string]*os.File, error) {
	if len(l.Layers) == 0 {
		return nil, nil
	}
	names, targets := d.parts(l)
	var files []*os.File
	var err error
	at := map[string]*os.File{}
	if l.Imaged {
		at[stateDir], files, err = d.mountOnDisk(h, l, names...)
	} else {
		files, err = d.mountLayers(l, names...)
	}
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		at[targets[i]] = f
	}
	return at, nil
}

// wake gives a living sandbox to whoever attaches to it: what is paused goes on, and what was left in the middle of a snapshot
// is ended. While somebody makes one it waits.
func (d *Driver) wake(ctx context.Context, h home, l label, p *held.Process) (label, error) {
	if l.Pending == nil && !frozen(homes.Group(&l.Label)) {
		return l, nil
	}
	unlock, err := d.homes.LockHome(ctx, h.Home, false)
	if errors.Is(err, os.ErrNotExist) {
		return l, homes.ErrRemoved
	} else if err != nil {
		return l, err
	}
	defer unlock()
	if l, err = h.read(); err != nil {
		return l, err
	}
	if l.Pending == nil {
		return l, homes.Thaw(ctx, &l.Label)
	}
	if err := errors.Join(d.abandon(ctx, l, p), d.settle(h, &l)); err != nil {
		return l, err
	}
	return l, held.ErrEnded
}

// beginWith gives a new sandbox the files of a snapshot, and writes its label.
func (d *Driver) beginWith(ctx context.Context, h home, l *label, name string) error {
	if why := d.whyNoLayers(); why != "" && l.Imaged {
		return homes.Coded(sandbox.Unsupported,
			fmt.Errorf("a sandbox on an image cannot begin with a snapshot here: %s: set backends.jail.storage to \"directory\"", why))
	}
	if err := d.homes.Claim(&l.Label); err != nil { // what it has there has its numbers
		return err
	}
	l.From = name
	if d.whyNoLayers() != "" {
		if err := d.fetch(ctx, h, *l, name); err != nil {
			return err
		}
		return h.replace()
	}
	return d.refer(ctx, h, l, name)
}

// unbegun removes from a home without a label, which is nobody's yet, what a start that was cut off has put there.
func (h home) unbegun() error {
	var errs []error
	for _, part := range []string{restoring, restored, partHome, partWork, partRoot} {
		errs = append(errs, held.RemoveTree(h.Path(part)))
	}
	return errors.Join(errs...)
}

// refer puts an empty layer of the sandbox's own over those of a snapshot, in its label.
func (d *Driver) refer(ctx context.Context, h home, l *label, name string) error {
	unlock, err := d.lockLayers(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var k kept
	if err := d.snapshots().Read(name, &k); err != nil {
		return noSnapshot(name, err)
	}
	if err := d.canHave(*l, k); err != nil {
		return err
	}
	upper := newOnDisk()
	if !l.Imaged {
		var err error
		if upper, err = d.newLayer(l.FirstID); err != nil {
			return err
		}
	}
	l.Layers = append([]string{upper}, k.Layers...)
	if len(k.Root) > 0 {
		l.Root = append([]string{upper}, k.Root...)
	}
	return h.write(*l)
}

// copyFrom copies the files of a snapshot into a home whose sandbox has no layers.
func (d *Driver) copyFrom(ctx context.Context, h home, l label, name string) error {
	var k kept
	if err := d.snapshots().Read(name, &k); err != nil {
		return noSnapshot(name, err)
	}
	if err := d.canHave(l, k); err != nil {
		return err
	}
	if len(k.Layers) != 1 {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("the snapshot has layers: %s", d.whyNoLayers()))
	}
	var of layer
	if err := d.layers().Read(k.Layers[0], &of); err != nil {
		return err
	}
	c := trees.Copying{}
	if l.FirstID != 0 {
		shift := l.FirstID - of.FirstID
		c.Owner = func(uid, gid uint32) (uint32, uint32) { return uid + shift, gid + shift }
	}
	for _, part := range []string{partHome, partWork} {
		if _, err := c.Copy(ctx, filepath.Join(d.layerFiles(k.Layers[0]), part), h.Path(part)); err != nil {
			return fmt.Errorf("copy the %s: %w", part, err)
		}
	}
	return noSnapshot(name, d.snapshots().Read(name, &k)) // removed meanwhile, it may have been copied in part
}

// restoring and restored are directories of a home without layers in which files wait that are to take the place of its own, and
// that take it now, which whoever comes next goes on with.
const (
	restoring = ".restoring"
	restored  = ".restored"
)

// fetch copies the files of a snapshot into a home without layers, to wait there.
func (d *Driver) fetch(ctx context.Context, h home, l label, name string) error {
	dir := h.Path(restoring)
	if err := errors.Join(held.RemoveTree(dir), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	if err := d.copyFrom(ctx, home{homes.Home(dir)}, l, name); err != nil {
		return errors.Join(err, held.RemoveTree(dir))
	}
	return nil
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
	if _, err := os.Lstat(h.Path(restored)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, part := range []string{partHome, partWork} {
		from := filepath.Join(h.Path(restored), part)
		if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := errors.Join(held.RemoveTree(h.Path(part)), os.Rename(from, h.Path(part))); err != nil {
			return err
		}
	}
	return held.RemoveTree(h.Path(restored))
}

// Restore ends what runs in a sandbox and gives it the home and workspace of a snapshot.
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
		return homes.Failed("jail.Restore", id, err)
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
	case l.Imaged && d.whyNoLayers() != "":
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("its files are in an image, and cannot be replaced there: %s", d.whyNoLayers()))
	}
	copies := d.whyNoLayers() != "" && len(l.Layers) == 0
	var k kept
	if err := d.snapshots().Read(name, &k); err != nil { // before anything is ended
		return noSnapshot(name, err)
	}
	if err := d.canHave(l, k); err != nil {
		return err
	}
	if copies {
		if err := d.fetch(ctx, h, l, name); err != nil {
			return err
		}
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*reap.Patience)
	defer cancel()
	p, err := d.homes.Server(h.Home)
	if err == nil {
		err = d.abandon(cleanup, l, p)
	}
	if err != nil && !errors.Is(err, held.ErrEnded) {
		return err
	}
	if err := errors.Join(homes.Sweep(cleanup, &l.Label), d.settle(h, &l)); err != nil {
		return err
	}
	if copies {
		return h.replace()
	}
	direct, over := len(l.Layers) == 0 && !l.Imaged, len(l.Root) == 0
	if err := d.refer(cleanup, h, &l, name); err != nil {
		return err
	}
	if direct {
		err = errors.Join(held.RemoveTree(h.HomeDir()), held.RemoveTree(h.OwnWork()))
	}
	if over && len(l.Root) > 0 {
		err = errors.Join(err, held.RemoveTree(h.Path(partRoot)))
	}
	return errors.Join(err, d.sweepLayers(cleanup))
}

// Snapshots are all that there are. What had not been counted is.
func (d *Driver) Snapshots(ctx context.Context) ([]backends.Snapshot, error) {
	names, err := d.snapshots().Names()
	if err != nil {
		return nil, homes.Failed("jail.Snapshots", "", err)
	}
	var all []backends.Snapshot
	for _, name := range names {
		var k kept
		switch err := d.snapshots().Read(name, &k); {
		case errors.Is(err, os.ErrNotExist):
			continue // it has just been removed
		case err != nil:
			d.log.Warn("a snapshot cannot be read", "snapshot", name, "err", err)
			continue
		}
		if k.Size < 0 {
			k.Size, k.Files = d.count(append(slices.Clone(k.Layers), slices.DeleteFunc(slices.Clone(k.Root), func(name string) bool {
				return slices.Contains(k.Layers, name)
			})...))
		}
		all = append(all, k.Snapshot)
	}
	return all, nil
}

// count counts what is in layers: the sum, though what one hides of another's is not seen any more. -1 if it cannot be told.
func (d *Driver) count(names []string) (size, files int64) {
	for _, name := range names {
		var l layer
		if err := d.layers().Read(name, &l); err != nil {
			return -1, -1
		}
		if !l.Counted {
			stats, err := trees.Measure(d.layerFiles(name))
			over, none := trees.Measure(filepath.Join(d.layers().Path(name), partRoot))
			if err != nil || none != nil && !errors.Is(none, os.ErrNotExist) {
				return -1, -1
			}
			l.Counted, l.Size, l.Files = true, stats.Bytes+over.Bytes, stats.Files+over.Files
			_ = d.layers().Rewrite(name, l) // else it is counted again
		}
		size, files = size+l.Size, files+l.Files
	}
	return size, files
}

// RemoveSnapshot removes a snapshot, and the layers that nothing else refers to.
func (d *Driver) RemoveSnapshot(ctx context.Context, name string) error {
	if err := errors.Join(d.snapshots().Remove(name), d.sweepLayers(ctx)); err != nil {
		return homes.Failed("jail.RemoveSnapshot", "", err)
	}
	return nil
}

// removeCutOff removes what a process was making, or removing, when it was killed.
func (d *Driver) removeCutOff() {
	err := errors.Join(d.snapshots().Clean(), d.layers().Clean(), d.sweepLayers(context.Background()))
	if err != nil {
		d.log.Warn("what is left of snapshots cannot be removed", "err", err)
	}
}
