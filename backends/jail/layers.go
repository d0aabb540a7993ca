package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/sandbox"
)

// A layer is a directory with files of sandboxes, which are the same for all that have it, and which nobody writes to but
// the one sandbox of which it is the uppermost:
//
//	record.json  whose numbers its files have, and how many they are
//	fs/          home and workspace
//	root/        what was written over the root; see rooted.go
//	work/        the kernel's, of an uppermost one; made anew for each start
//
// Whoever refers to a layer is the label of a sandbox or the record of a snapshot. These are looked through when one of them
// has gone, under the lock of the layers, under which references are added too; there is no count that could be wrong.
type layer struct {
	FirstID uint32 `json:"first_id,omitempty"`
	Counted bool   `json:"counted,omitempty"` // it is not written to any more, and was counted
	Size    int64  `json:"size,omitempty"`
	Files   int64  `json:"files,omitempty"`
}

// mostLayers is how many a sandbox may have. Each makes looking up a name that is not there a little slower, and the kernel
// takes no more than 500.
const mostLayers = 64

func (d *Driver) layers() shelf.Shelf    { return shelf.Shelf(filepath.Join(d.root, ".layers")) }
func (d *Driver) snapshots() shelf.Shelf { return shelf.Shelf(filepath.Join(d.root, ".snapshots")) }

func (d *Driver) layerFiles(name string) string { return filepath.Join(d.layers().Path(name), "fs") }

// lockLayers is held while references to layers are added, or looked through.
func (d *Driver) lockLayers(ctx context.Context) (unlock func(), err error) {
	return d.homes.Lock(ctx, string(d.layers()), true)
}

// newLayer makes an empty one. The layers are locked, until something refers to it.
func (d *Driver) newLayer(firstID uint32) (string, error) {
	name := sandbox.RandomHex(8)
	return name, d.layers().Put(name, func(dir string) (any, error) {
		fs := filepath.Join(dir, "fs")
		return layer{FirstID: firstID}, errors.Join(os.Mkdir(fs, 0o755), os.Chmod(fs, 0o755)) // whatever umask is
	})
}

// sweepLayers removes the layers to which nothing refers. The others go on meanwhile: under the lock they lose their names alone.
func (d *Driver) sweepLayers(ctx context.Context) error {
	if _, err := os.Lstat(string(d.layers())); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	removes, err := d.hideLayers(ctx)
	errs := []error{err}
	for _, remove := range removes {
		errs = append(errs, remove())
	}
	return errors.Join(errs...)
}

// hideLayers takes the names from the layers to which nothing refers, and gives what removes them.
func (d *Driver) hideLayers(ctx context.Context) (removes []func() error, err error) {
	unlock, err := d.lockLayers(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := d.layers().Names()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	used, err := d.usedLayers()
	if err != nil { // what cannot be read may refer to any
		return nil, err
	}
	var errs []error
	for _, name := range all {
		if used[name] {
			continue
		}
		remove, err := d.layers().Hide(name)
		if err == nil {
			removes = append(removes, remove)
		}
		errs = append(errs, err)
	}
	return removes, errors.Join(errs...)
}

func (d *Driver) usedLayers() (map[string]bool, error) {
	used := map[string]bool{}
	use := func(names ...string) {
		for _, name := range names {
			used[name] = true
		}
	}
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if id := sandbox.ID(e.Name()); id.Check() == nil {
			l, err := d.home(id).read()
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("the label of %s: %w", id, err)
			}
			use(l.Layers...)
			use(l.Root...)
			if p := l.Pending; p != nil {
				use(p.Upper, p.Base)
			}
		}
	}
	names, err := d.snapshots().Names()
	for _, name := range names {
		var s kept
		if err := d.snapshots().Read(name, &s); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("the record of snapshot %s: %w", name, err)
		}
		use(s.Layers...)
		use(s.Root...)
	}
	return used, err
}

// whyNoLayers says why sandboxes cannot have layers here; "" if they can. It is found out by trying, once.
func (d *Driver) whyNoLayers() string {
	d.layering.Do(func() {
		if err := d.tryLayers(); err != nil {
			d.noLayers = err.Error()
		}
	})
	return d.noLayers
}

func (d *Driver) tryLayers() error {
	if os.Geteuid() != 0 {
		return errors.New("layers need root, who alone can put others over them while programs run")
	}
	if !homes.Tree().Has(cgroup.Freezer) {
		return homes.ErrNoFreezer
	}
	unlock, err := d.lockLayers(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	var names []string
	for range 2 {
		name, err := d.newLayer(0)
		if err != nil {
			return err
		}
		names = append(names, name)
		defer func() { _ = d.layers().Remove(name) }() // else the next sweep does
		for _, part := range []string{partHome, partWork} {
			if err := os.Mkdir(filepath.Join(d.layerFiles(name), part), 0o700); err != nil {
				return err
			}
		}
	}
	files, err := d.mountLayers(label{Layers: names}, partHome)
	closeAll(files)
	return err
}

// Parts of a layer, and of a snapshot.
const (
	partHome = "home"
	partWork = "workspace"
)

// mountLayers lays the layers of l over each other and gives a mount, which is nowhere yet, of each of the parts. If the uppermost
// is "", it can only be read.
func (d *Driver) mountLayers(l label, parts ...string) (files []*os.File, err error) {
	err = privately(func() error {
		files, err = d.lay(l, d.layers().Path(l.Layers[0]), parts)
		return err
	})
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("lay %d layers over each other: %w", len(l.Layers), err)
	}
	return files, nil
}

// lay does it, in such a namespace; upper is the directory of the uppermost layer.
func (d *Driver) lay(l label, upper string, parts []string) ([]*os.File, error) {
	o, err := d.compose(l, upper)
	defer o.close()
	if err != nil {
		return nil, err
	}
	return o.mount(parts)
}

// compose says all that there is to be said of them; the namespace must be there until they are mounted.
func (d *Driver) compose(l label, upper string) (o composed, err error) {
	var options []string // the uppermost layer first
	for _, name := range l.Layers[1:] {
		f, err := d.openLayer(name, "fs", l)
		if err != nil {
			return o, err
		}
		o.layers = append(o.layers, f)
		options = append(options, "lowerdir+", fdPath(f))
	}
	if l.Layers[0] == "" {
		o.at = d.layers().Path(l.Layers[1])
		err = o.begin(append(options, readOnly...))
		return o, err
	}
	options = append(options, writable...)
	o.at = upper
	work := filepath.Join(upper, "work")
	// The kernel takes none that was left by a mount which it did not see to its end.
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		return o, err
	}
	for option, dir := range map[string]string{"upperdir": filepath.Join(upper, "fs"), "workdir": work} {
		f, err := openPath(dir)
		if err != nil {
			return o, err
		}
		o.layers = append(o.layers, f)
		options = append(options, option, fdPath(f))
	}
	err = o.begin(options)
	return o, err
}

// openLayer gives a directory of a layer below the uppermost of l. Files that have another sandbox's numbers are shown with those of l's.
func (d *Driver) openLayer(name, part string, l label) (*os.File, error) {
	var of layer
	if err := d.layers().Read(name, &of); err != nil {
		return nil, fmt.Errorf("a layer: %w", err)
	}
	dir := filepath.Join(d.layers().Path(name), part)
	if of.FirstID == l.FirstID || of.FirstID == 0 || l.FirstID == 0 {
		return openPath(dir)
	}
	tree, err := homes.OpenTree(dir, false)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	path, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	maps := (&homes.Label{FirstID: l.FirstID}).Mappings()
	for i := range maps {
		maps[i].ContainerID = maps[i].HostID - int(l.FirstID) + int(of.FirstID) // as they are on the disk
	}
	if err := mapTree(tree, dir, maps, maps, program); err != nil {
		return nil, err
	}
	if err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, os.NewSyscallError("move_mount", err)
	}
	return openPath(dir)
}

func openPath(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// noSnapshot gives the error of what is not there another one that says what to do.
func noSnapshot(name string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return homes.Coded(sandbox.NotFound, backends.NoSnapshot(name))
	}
	return err
}
