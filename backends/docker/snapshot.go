package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// A snapshot is an image of what a container has written into its own file system, and a directory in .snapshots with copies of
// what is mounted into it from the sandbox's home. The image is kept as long as the directory is there, or a container needs it.

// kept is the record of a snapshot.
type kept struct {
	backends.Snapshot
	Image string `json:"image"` // its id
}

var (
	_ backends.Snapshotter    = (*instance)(nil)
	_ backends.SnapshotKeeper = (*Driver)(nil)
)

const (
	partHome = "home"
	partWork = "workspace"
	partRoot = "root"
	// restored is a directory of a home in which files wait that take the place of its own; restoring, one that is not whole.
	restored  = ".restored"
	restoring = ".restoring"
	// snapshotImages is the repository that the engine lists the images under.
	snapshotImages = "sandtree/snapshot"
)

func (d *Driver) snapshots() shelf.Shelf { return shelf.Shelf(filepath.Join(d.root, ".snapshots")) }

// copying is how files are copied that containers write: as root, whose they are stays.
func copying() trees.Copying {
	if os.Geteuid() != 0 {
		return trees.Copying{}
	}
	return trees.Copying{Owner: func(uid, gid uint32) (uint32, uint32) { return uid, gid }}
}

// Snapshot keeps the container's file system, the workspace and the home.
func (i *instance) Snapshot(ctx context.Context, name string, _ backends.Aside) (made backends.Snapshot, err error) {
	err = i.relabel(ctx, func(l *label) (bool, error) { // nothing changes there; nobody takes it over meanwhile
		if l.Epoch > i.epoch.Load() {
			return false, l.fenced(i.epoch.Load())
		}
		if err := i.d.canSnapshot(*l); err != nil {
			return false, err
		}
		made, err = i.snapshot(ctx, *l, name)
		return false, err
	})
	if err != nil {
		return made, failed("docker.Snapshot", i.label.ID, err)
	}
	return made, nil
}

// canSnapshot says whether there can be a snapshot of the sandbox labelled l. Code: Unsupported.
func (d *Driver) canSnapshot(l label) error {
	switch {
	case !d.config.shared():
		return coded{sandbox.Unsupported, errors.New("the engine's machine is another: what the sandbox writes cannot be copied from here")}
	case l.InMemory:
		return coded{sandbox.Unsupported, errors.New("its files are in memory: set backends.docker.storage to another value")}
	}
	return nil
}

func (i *instance) snapshot(ctx context.Context, l label, name string) (made backends.Snapshot, err error) {
	begun := time.Now()
	if err := i.freezeHeld(ctx, true); err != nil {
		return made, err
	}
	thaw := func() error {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return i.freezeHeld(cleanup, false)
	}
	err = i.d.snapshots().Put(name, func(dir string) (any, error) {
		made = backends.Snapshot{Name: name, Of: l.ID, Created: time.Now().UTC(), Way: backends.WayImage, Holds: []string{partRoot}}
		for part, from := range i.d.copied(i.home, l) {
			stats, err := copying().Copy(ctx, from, filepath.Join(dir, part))
			if err != nil {
				return nil, fmt.Errorf("copy the %s: %w", part, err)
			}
			made.Holds = append(made.Holds, part)
			made.Size, made.Files = made.Size+stats.Bytes, made.Files+stats.Files
		}
		slices.Sort(made.Holds)
		id, err := i.d.commit(ctx, i.container.id, name)
		if err != nil {
			return nil, err
		}
		err = thaw()
		made.Took = time.Since(begun)
		return kept{made, id}, err
	})
	if err != nil {
		err = errors.Join(err, thaw())
	}
	if errors.Is(err, shelf.ErrTaken) {
		err = coded{sandbox.Conflict, fmt.Errorf("there is a snapshot %q already: give another name, or remove it first", name)}
	}
	return made, err
}

// copied are the directories of a sandbox that are not in its container, by the part that they are.
func (d *Driver) copied(h home, l label) map[string]string {
	parts := map[string]string{}
	if l.Workspace != "" {
		parts[partWork] = l.Workspace
	}
	if d.config.Home == "" {
		parts[partHome] = h.homeDir()
	}
	return parts
}

// commit makes an image of a container. None of the labels by which a container is known as a sandbox is the image's, and through
// it another container's.
func (d *Driver) commit(ctx context.Context, id, name string) (string, error) {
	made, err := d.engine.ContainerCommit(ctx, id, container.CommitOptions{
		Reference: snapshotReference(name), Config: &container.Config{Labels: d.snapshotLabels(name)},
	})
	return made.ID, err
}

// snapshotReference is a new name that the engine lists the image of a snapshot under.
func snapshotReference(name string) string {
	return snapshotImages + ":" + name + "-" + sandbox.RandomHex(4)
}

// snapshotLabels are what the image of a snapshot is known by, and not its containers.
func (d *Driver) snapshotLabels(name string) map[string]string {
	labels := map[string]string{labelPrefix + "system": d.system, labelPrefix + "snapshot": name}
	for _, own := range []string{"id", "owner", "epoch", "blank"} {
		labels[labelPrefix+own] = ""
	}
	return labels
}

// Snapshots are all that there are. What the images take is not counted: they share most of it.
func (d *Driver) Snapshots(context.Context) ([]backends.Snapshot, error) {
	names, err := d.snapshots().Names()
	if err != nil {
		return nil, failed("docker.Snapshots", "", err)
	}
	var all []backends.Snapshot
	for _, name := range names {
		var k kept
		if err := d.snapshots().Read(name, &k); err == nil {
			all = append(all, k.Snapshot)
		} else if !errors.Is(err, os.ErrNotExist) {
			d.log.Warn("a snapshot cannot be read", "snapshot", name, "err", err)
		}
	}
	return all, nil
}

// RemoveSnapshot removes a snapshot, and its image as soon as no container needs it.
func (d *Driver) RemoveSnapshot(ctx context.Context, name string) error {
	var k kept
	_ = d.snapshots().Read(name, &k) // if there is none, there is no image that is its
	err := d.snapshots().Remove(name)
	if err == nil {
		err = d.removeImages(ctx, k.Image)
	}
	if err != nil {
		return failed("docker.RemoveSnapshot", "", err)
	}
	return nil
}

// beingMade is how long an image may be without a snapshot, which comes after it.
const beingMade = time.Hour

// removeImages removes the images of snapshots that are no more: that one, and those that were needed when theirs was removed.
func (d *Driver) removeImages(ctx context.Context, id string) error {
	all, err := d.engine.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", labelPrefix+"system="+d.system), filters.Arg("label", labelPrefix+"snapshot"))})
	if err != nil {
		return err
	}
	names, err := d.snapshots().Names()
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, name := range names {
		var k kept
		if err := d.snapshots().Read(name, &k); err == nil {
			needed[k.Image] = true
		}
	}
	for _, i := range all {
		if needed[i.ID] || i.ID != id && time.Since(time.Unix(i.Created, 0)) < beingMade {
			continue
		}
		_, err := d.engine.ImageRemove(ctx, i.ID, image.RemoveOptions{PruneChildren: true})
		if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) { // a container needs it
			return err
		}
	}
	return nil
}

// beginWith gives a new sandbox the files of a snapshot, and notes its image in l.
func (d *Driver) beginWith(ctx context.Context, h home, l *label, name string) error {
	if err := d.canSnapshot(*l); err != nil {
		return err
	}
	k, err := d.fetch(ctx, h, name)
	if err == nil {
		err = h.replace()
	}
	l.From, l.Image = name, k.Image
	return err
}

// fetch copies the files of a snapshot into a home, to wait there.
func (d *Driver) fetch(ctx context.Context, h home, name string) (kept, error) {
	var k kept
	if err := d.snapshots().Read(name, &k); errors.Is(err, os.ErrNotExist) {
		return k, coded{sandbox.NotFound, backends.NoSnapshot(name)}
	} else if err != nil {
		return k, err
	}
	if err := errors.Join(held.RemoveTree(h.path(restoring)), held.RemoveTree(h.path(restored)), os.Mkdir(h.path(restoring), 0o700)); err != nil {
		return k, err
	}
	for _, part := range k.Holds {
		if part == partRoot {
			continue
		}
		if _, err := copying().Copy(ctx, filepath.Join(d.snapshots().Path(name), part), filepath.Join(h.path(restoring), part)); err != nil {
			return k, errors.Join(fmt.Errorf("copy the %s: %w", part, err), held.RemoveTree(h.path(restoring)))
		}
	}
	return k, os.Rename(h.path(restoring), h.path(restored))
}

// unbegun removes from a home without a label, which is nobody's yet, what a start that was cut off has put there.
func (h home) unbegun() error {
	var errs []error
	for _, part := range []string{restoring, restored, partHome, partWork} {
		errs = append(errs, held.RemoveTree(h.path(part)))
	}
	return errors.Join(errs...)
}

// replace puts the files that wait in a home, whose container has ended, in the place of its own. It goes on where it was cut off.
func (h home) replace() error {
	for _, part := range []string{partHome, partWork} {
		from := filepath.Join(h.path(restored), part)
		if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := errors.Join(held.RemoveTree(h.path(part)), os.Rename(from, h.path(part))); err != nil {
			return err
		}
	}
	return errors.Join(held.RemoveTree(h.path(restored)), held.RemoveTree(h.path(restoring)))
}

// Restore ends a sandbox's container and gives it the files of a snapshot; the next start makes another container.
func (d *Driver) Restore(ctx context.Context, id sandbox.ID, epoch uint64, name string) error {
	h := d.home(id)
	unlock, err := d.locker.Lock(ctx, string(h), false)
	if errors.Is(err, os.ErrNotExist) {
		err = errRemoved
	}
	if err == nil {
		defer unlock()
		err = d.restore(ctx, h, epoch, name)
	}
	if err != nil {
		return failed("docker.Restore", id, err)
	}
	return nil
}

func (d *Driver) restore(ctx context.Context, h home, epoch uint64, name string) error {
	l, err := h.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errRemoved
	case err != nil:
		return err
	case l.Epoch > epoch:
		return l.fenced(epoch)
	case l.Named:
		return coded{sandbox.Unsupported, fmt.Errorf("it works in %s, which is not the sandbox's to replace: start another sandbox from the snapshot", l.Workspace)}
	}
	if err := d.canSnapshot(l); err != nil {
		return err
	}
	k, err := d.fetch(ctx, h, name) // before anything is ended
	if err != nil {
		return err
	}
	l.Restoring = k.Image
	if err := h.write(l); err != nil { // from here on, whoever comes next goes on with it
		return err
	}
	return d.finishRestore(ctx, h, &l)
}

// finishRestore goes on with a restore whose files are there, if there is one.
func (d *Driver) finishRestore(ctx context.Context, h home, l *label) error {
	if l.Restoring == "" {
		return nil
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := d.kill(cleanup, *l); err != nil {
		return err
	}
	if err := errors.Join(d.removeContainer(cleanup, l.Container), h.replace()); err != nil {
		return err
	}
	before := l.Image
	l.Image, l.Restoring = l.Restoring, ""
	if err := h.write(*l); err != nil || before == "" {
		return err
	}
	return d.removeImages(cleanup, before)
}
