package jail

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// An archive has each layer of a root by itself, the lowest first, since what a layer says of files that are gone is about those
// below it, the configured root included, which no archive has. Whom a file belongs to it says by the numbers in the jail.

// exportRoot packs the layers of a snapshot's root.
func (d *Driver) exportRoot(k kept, a backends.Archived, pack packing) error {
	for i := range k.Root {
		name := k.Root[len(k.Root)-1-i]
		var of layer
		if err := d.layers().Read(name, &of); err != nil {
			return err
		}
		dir, err := os.Open(filepath.Join(d.layers().Path(name), partRoot))
		if err == nil {
			err = pack(a, backends.RootPart(i), dir, of.archived())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// archived says whose files of a layer are in an archive.
func (l layer) archived() *trees.Layered {
	maps := l.mappings()
	for i, m := range maps {
		maps[i].ContainerID, maps[i].HostID = m.HostID, m.ContainerID
	}
	return renumbered(maps)
}

// unarchived says whose files of an archive are in a layer.
func (l layer) unarchived() *trees.Layered { return renumbered(l.mappings()) }

func (l layer) mappings() []syscall.SysProcIDMap {
	return (&homes.Label{FirstID: l.FirstID}).Mappings()
}

// renumbered gives files the second numbers of maps, and knows no others than their first.
func renumbered(maps []syscall.SysProcIDMap) *trees.Layered {
	one := func(id uint32) (uint32, bool) {
		for _, m := range maps {
			if n := int(id) - m.ContainerID; n >= 0 && n < m.Size {
				return uint32(m.HostID + n), true
			}
		}
		return 0, false
	}
	return &trees.Layered{Owner: func(uid, gid uint32) (uint32, uint32, bool) {
		u, known := one(uid)
		g, also := one(gid)
		return u, g, known && also
	}}
}

// possible says whether sandboxes can begin with what is imported, as far as it has a root. Code: Unsupported.
func (i *importing) possible() error {
	if i.Root == nil {
		return nil
	}
	l := label{Label: homes.Label{FirstID: i.of.FirstID}, Imaged: i.d.imaged(sandbox.Limits{})}
	return i.d.canHave(l, kept{Root: []string{""}, RootOf: i.Root.Of})
}

// fillRoot moves the layers of a root that were unpacked into fs to layers of their own; the uppermost to dir, the one that has fs. The
// layers are locked: as long as nothing refers to them, nobody may look which are of use.
func (i *importing) fillRoot(dir, fs string) error {
	for n := range i.Root.Layers {
		unpacked := filepath.Join(fs, backends.RootPart(n))
		if n == i.Root.Layers-1 {
			return os.Rename(unpacked, filepath.Join(dir, partRoot))
		}
		stats, err := trees.Measure(unpacked)
		if err != nil {
			return err
		}
		i.of.Size, i.of.Files = i.of.Size-stats.Bytes, i.of.Files-stats.Files
		name := sandbox.RandomHex(8)
		err = i.d.layers().Put(name, func(dir string) (any, error) {
			fs := filepath.Join(dir, "fs")
			return layer{FirstID: i.of.FirstID, Counted: true, Size: stats.Bytes, Files: stats.Files},
				errors.Join(os.Mkdir(fs, 0o755), os.Chmod(fs, 0o755), os.Rename(unpacked, filepath.Join(dir, partRoot)))
		})
		if err != nil {
			return err
		}
		i.made = append(i.made, name)
	}
	return nil
}
