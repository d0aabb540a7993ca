package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.SnapshotMover = (*Driver)(nil)

// ExportSnapshot gives the directories of a snapshot.
func (d *Driver) ExportSnapshot(_ context.Context, name string, pack func(a backends.Archived, part string, dir *os.File, layer *trees.Layered) error) error {
	var s backends.Snapshot
	err := d.snapshots().Read(name, &s)
	for _, part := range s.Holds {
		var dir *os.File
		if dir, err = os.Open(filepath.Join(d.snapshots().Path(name), part)); err == nil {
			err = pack(backends.Archived{Snapshot: s}, part, dir, nil)
		}
		if err != nil {
			break
		}
	}
	if _, gone := os.Lstat(d.snapshots().Path(name)); errors.Is(gone, os.ErrNotExist) { // before, or meanwhile
		return homes.Failed("local.Export", "", homes.Coded(sandbox.NotFound, backends.NoSnapshot(name)))
	}
	return err
}

// ArchiveKind is always the same: directories.
func (d *Driver) ArchiveKind([]string) string { return backends.KindFiles }

// ImportSnapshot makes a snapshot of what unpack unpacks.
func (d *Driver) ImportSnapshot(_ context.Context, a backends.Archived, unpack func(into string, uid, gid int, layer *trees.Layered) error) error {
	s := a.Snapshot
	err := d.snapshots().Put(s.Name, func(dir string) (any, error) {
		if err := unpack(dir, -1, -1, nil); err != nil {
			return nil, err
		}
		s.Size, s.Files = 0, 0
		for _, part := range s.Holds {
			stats, err := trees.Measure(filepath.Join(dir, part))
			if err != nil {
				return nil, err
			}
			s.Size, s.Files = s.Size+stats.Bytes, s.Files+stats.Files
		}
		return s, nil
	})
	if errors.Is(err, shelf.ErrTaken) {
		return homes.Failed("local.Import", "", taken(s.Name))
	}
	return err
}
