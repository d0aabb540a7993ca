package jail

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Explainer = (*Driver)(nil)

// WhyNot says why the bandwidth of the disk is not bounded here.
func (d *Driver) WhyNot(limit string) error {
	t := homes.Tree()
	switch {
	case limit != backends.LimitDiskRead && limit != backends.LimitDiskWrite:
		return nil
	case !t.Has(cgroup.IO):
		return errors.New("there are no control groups for disks that this process could make")
	case limit == backends.LimitDiskWrite && !t.Unified(cgroup.IO):
		return errors.New("control groups of version 1 do not bound what is written through the page cache")
	case d.config.Storage == storageImage:
		return errors.New("what is read from an image, the kernel reads: set backends.jail.storage to \"directory\"")
	}
	return d.told()
}

// disks are those that a sandbox reads from: its own files, its workspace and the programs.
func (d *Driver) disks(l label) ([]cgroup.Disk, error) {
	paths := []string{d.root, "/usr"}
	if d.config.Root != "" {
		paths[1] = d.config.Root
	}
	if l.Named {
		paths = append(paths, cmp.Or(l.Resolved, l.Workspace))
	}
	return cgroup.DisksOf(append(paths, d.config.Paths...)...)
}

// throttle sets the bandwidth of the disks in limits.
func (d *Driver) throttle(l label, limits *cgroup.Limits) error {
	limits.Reads, limits.Writes = max(0, l.Limits.DiskRead), max(0, l.Limits.DiskWrite)
	if limits.Reads+limits.Writes == 0 {
		return nil
	}
	disks, err := d.disks(l)
	if err != nil {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("disk_read, disk_write: %w", err))
	}
	for _, disk := range disks {
		limits.Disks += disk.Number + " "
	}
	return nil
}
