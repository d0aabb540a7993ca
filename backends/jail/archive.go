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

// ExportSnapshot gives the directories of a snapshot, with its layers over each other.
func (d *Driver) ExportSnapshot(_ context.Context, name string, pack func(s backends.Snapshot, part string, dir *os.File) error) error {
	var k kept
	err := d.snapshots().Read(name, &k)
	var dirs []*os.File
	if err == nil && len(k.Root) > 0 {
		return d.homes.Failed("Export", "", homes.Coded(sandbox.Unsupported, errors.New("the snapshot holds what was written over the root, which no archive has")))
	}
	if err == nil {
		dirs, err = d.openSnapshot(k)
	}
	for i, dir := range dirs {
		if err != nil {
			dir.Close()
			continue
		}
		err = pack(k.Snapshot, k.Holds[i], dir)
	}
	if _, gone := os.Lstat(d.snapshots().Path(name)); errors.Is(gone, os.ErrNotExist) { // before, or meanwhile
		return homes.Failed("jail.Export", "", homes.Coded(sandbox.NotFound, backends.NoSnapshot(name)))
	}
	return err
}

// openSnapshot opens the directories of a snapshot.
func (d *Driver) openSnapshot(k kept) (dirs []*os.File, err error) {
	if len(k.Layers) > 1 {
		var of layer
		if err := d.layers().Read(k.Layers[0], &of); err != nil {
			return nil, err
		}
		trees, err := d.mountLayers(label{Label: homes.Label{FirstID: of.FirstID}, Layers: append([]string{""}, k.Layers...)}, k.Holds...)
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
	for _, part := range k.Holds {
		dir, err := os.Open(filepath.Join(d.layerFiles(k.Layers[0]), part))
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// ArchiveKind is always the same: directories.
func (d *Driver) ArchiveKind([]string) string { return backends.KindFiles }

// ImportSnapshot makes a snapshot of what unpack unpacks, which is the jail's user's.
func (d *Driver) ImportSnapshot(ctx context.Context, s backends.Snapshot, unpack func(into string, uid, gid int) error) error {
	if _, err := os.Lstat(d.snapshots().Path(s.Name)); err == nil {
		return homes.Failed("jail.Import", "", taken(s.Name))
	}
	of, id := layer{Counted: true}, -1
	if os.Geteuid() == 0 {
		of.FirstID, id = homes.FirstID, homes.FirstID+d.user().ID // whoever has these numbers does not see it
	}
	unlock := func() {}
	defer func() { unlock() }()
	name := sandbox.RandomHex(8)
	err := d.layers().Put(name, func(dir string) (any, error) {
		fs := filepath.Join(dir, "fs")
		if err := errors.Join(os.Mkdir(fs, 0o755), os.Chmod(fs, 0o755)); err != nil {
			return nil, err
		}
		if err := unpack(fs, id, id); err != nil {
			return nil, err
		}
		for _, part := range []string{partHome, partWork} { // one that comes from elsewhere may lack one, but no sandbox does
			if slices.Contains(s.Holds, part) {
				continue
			}
			if err := errors.Join(os.Mkdir(filepath.Join(fs, part), 0o700), os.Lchown(filepath.Join(fs, part), id, id)); err != nil {
				return nil, err
			}
			s.Holds = append(s.Holds, part)
		}
		stats, err := trees.Measure(fs)
		if err != nil {
			return nil, err
		}
		of.Size, of.Files = stats.Bytes, stats.Files
		s.Size, s.Files = stats.Bytes, stats.Files
		held, err := d.lockLayers(ctx) // until something refers to it
		if err == nil {
			unlock = held
		}
		return of, err
	})
	if err == nil {
		err = d.snapshots().Put(s.Name, func(string) (any, error) { return kept{Snapshot: s, Layers: []string{name}}, nil })
		if err != nil {
			err = errors.Join(err, d.layers().Remove(name))
		}
	}
	if errors.Is(err, shelf.ErrTaken) {
		return homes.Failed("jail.Import", "", taken(s.Name))
	}
	return err
}
