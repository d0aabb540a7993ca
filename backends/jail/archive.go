package jail

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.SnapshotMover = (*Driver)(nil)

// ExportSnapshot gives the directories of a snapshot, with its layers over each other, and each layer of its root.
func (d *Driver) ExportSnapshot(ctx context.Context, name string, pack packing) error {
	var k kept
	err := d.snapshots().Read(name, &k)
	if err == nil {
		err = d.export(k, pack)
	}
	if _, gone := os.Lstat(d.snapshots().Path(name)); errors.Is(gone, os.ErrNotExist) { // before, or meanwhile
		return homes.Failed("jail.Export", "", homes.Coded(sandbox.NotFound, backends.NoSnapshot(name)))
	}
	return err
}

type (
	packing   = func(a backends.Archived, part string, dir *os.File, layer *trees.Layered) error
	unpacking = func(into string, uid, gid int, layer *trees.Layered) error
)

func (d *Driver) export(k kept, pack packing) error {
	a := backends.Archived{Snapshot: k.Snapshot}
	if len(k.Root) > 0 {
		a.Root = &backends.ArchivedRoot{Of: k.RootOf, Layers: len(k.Root)}
	}
	parts := slices.DeleteFunc(slices.Clone(k.Holds), func(part string) bool { return part == partRoot })
	dirs, err := d.openSnapshot(k, parts)
	for i, dir := range dirs {
		if err != nil {
			dir.Close()
			continue
		}
		err = pack(a, parts[i], dir, nil)
	}
	if err != nil {
		return err
	}
	return d.exportRoot(k, a, pack)
}

// openSnapshot opens directories of a snapshot.
func (d *Driver) openSnapshot(k kept, parts []string) (dirs []*os.File, err error) {
	if len(k.Layers) > 1 {
		var of layer
		if err := d.layers().Read(k.Layers[0], &of); err != nil {
			return nil, err
		}
		trees, err := d.mountLayers(label{Label: homes.Label{FirstID: of.FirstID}, Layers: append([]string{""}, k.Layers...)}, parts...)
		if err != nil {
			return nil, err
		}
		defer closeAll(trees)
		for _, tree := range trees { // which are for mounting, not for reading
			dir, err := os.Open(fdPath(tree))
			if err != nil {
				return dirs, err
			}
			dirs = append(dirs, dir)
		}
		return dirs, nil
	}
	for _, part := range parts {
		dir, err := os.Open(filepath.Join(d.layerFiles(k.Layers[0]), part))
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// ArchiveKind says whether there is more than directories that others can show.
func (d *Driver) ArchiveKind(holds []string) string {
	if slices.Contains(holds, partRoot) {
		return backends.KindRooted
	}
	return backends.KindFiles
}

// ImportSnapshot makes a snapshot of what unpack unpacks, which is the jail's user's, but for the layers of a root.
func (d *Driver) ImportSnapshot(ctx context.Context, a backends.Archived, unpack unpacking) error {
	if _, err := os.Lstat(d.snapshots().Path(a.Name)); err == nil {
		return homes.Failed("jail.Import", "", taken(a.Name))
	}
	i := &importing{Archived: a, d: d, of: layer{Counted: true}, id: -1, unlock: func() {}}
	if os.Geteuid() == 0 {
		i.of.FirstID, i.id = homes.FirstID, homes.FirstID+d.user().ID // whoever has these numbers does not see it
	}
	if err := i.possible(); err != nil {
		return homes.Failed("jail.Import", "", err)
	}
	defer func() { i.unlock() }()
	name := sandbox.RandomHex(8)
	err := d.layers().Put(name, func(dir string) (any, error) { return i.fill(ctx, dir, unpack) })
	if err == nil {
		i.made = append(i.made, name)
		k := kept{Snapshot: i.Snapshot, Layers: []string{name}}
		if a.Root != nil {
			slices.Reverse(i.made)
			k.Root, k.RootOf = i.made, a.Root.Of
		}
		err = d.snapshots().Put(i.Name, func(string) (any, error) { return k, nil })
	}
	if err != nil {
		for _, name := range i.made {
			err = errors.Join(err, d.layers().Remove(name))
		}
	}
	if errors.Is(err, shelf.ErrTaken) {
		return homes.Failed("jail.Import", "", taken(i.Name))
	}
	return err
}

// importing is the making of one snapshot from an archive.
type importing struct {
	backends.Archived
	d      *Driver
	of     layer // the record of the layer with home and workspace
	id     int   // of the jail's user; -1 is this process's
	made   []string
	unlock func() // the layers, until something refers to them
}

// fill makes the layer with home and workspace, in which everything is unpacked, and before it those of the root.
func (i *importing) fill(ctx context.Context, dir string, unpack unpacking) (any, error) {
	fs := filepath.Join(dir, "fs")
	if err := errors.Join(os.Mkdir(fs, 0o755), os.Chmod(fs, 0o755)); err != nil {
		return nil, err
	}
	if err := unpack(fs, i.id, i.id, i.of.unarchived()); err != nil {
		return nil, err
	}
	for _, part := range []string{partHome, partWork} { // one that comes from elsewhere may lack one, but no sandbox does
		if slices.Contains(i.Holds, part) {
			continue
		}
		if err := errors.Join(os.Mkdir(filepath.Join(fs, part), 0o700), os.Lchown(filepath.Join(fs, part), i.id, i.id)); err != nil {
			return nil, err
		}
		i.Holds = append(i.Holds, part)
	}
	stats, err := trees.Measure(fs)
	if err != nil {
		return nil, err
	}
	i.Size, i.Files, i.of.Size, i.of.Files = stats.Bytes, stats.Files, stats.Bytes, stats.Files
	unlock, err := i.d.lockLayers(ctx)
	if err != nil {
		return nil, err
	}
	i.unlock = unlock
	if i.Root != nil {
		if err := i.fillRoot(dir, fs); err != nil {
			return nil, err
		}
	}
	return i.of, nil
}
