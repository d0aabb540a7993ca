package docker

import (
	"errors"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Explainer = (*Driver)(nil)

// WhyNot says why the bandwidth of the disk is not bounded here. The engine bounds disks by name: those of its containers' layers
// and of the state directory.
func (d *Driver) WhyNot(limit string) error {
	if limit != backends.LimitDiskRead && limit != backends.LimitDiskWrite {
		return nil
	}
	d.facts.mu.Lock()
	defer d.facts.mu.Unlock()
	info := d.facts.info
	switch {
	case info == nil:
		return errors.New("the engine does not answer")
	case !d.config.shared():
		return errors.New("the engine is on another machine, whose disks are not known here")
	case limit == backends.LimitDiskWrite && info.CgroupVersion != "2":
		return errors.New("control groups of version 1 do not bound what is written through the page cache")
	}
	if d.facts.disks { // which every start asks, twice
		return nil
	}
	_, err := d.disks(info, "")
	d.facts.disks = err == nil
	return err
}

func (d *Driver) disks(info *system.Info, workspace string) ([]cgroup.Disk, error) {
	paths := []string{info.DockerRootDir, d.root}
	if workspace != "" {
		paths = append(paths, workspace)
	}
	return cgroup.DisksOf(paths...)
}

// throttle sets the bandwidth of the disks in r.
func (d *Driver) throttle(r *container.Resources, l label, limits sandbox.Limits) error {
	if limits.DiskRead <= 0 && limits.DiskWrite <= 0 {
		return nil
	}
	d.facts.mu.Lock()
	info := d.facts.info
	d.facts.mu.Unlock()
	if info == nil {
		return coded{sandbox.Unavailable, errors.New("the engine has not said which disks it uses")}
	}
	workspace := ""
	if l.Named {
		workspace = l.Workspace
	}
	disks, err := d.disks(info, workspace)
	if err != nil {
		return coded{sandbox.Unsupported, err}
	}
	for _, disk := range disks {
		if limits.DiskRead > 0 {
			r.BlkioDeviceReadBps = append(r.BlkioDeviceReadBps, &blkiodev.ThrottleDevice{Path: disk.Path, Rate: uint64(limits.DiskRead)})
		}
		if limits.DiskWrite > 0 {
			r.BlkioDeviceWriteBps = append(r.BlkioDeviceWriteBps, &blkiodev.ThrottleDevice{Path: disk.Path, Rate: uint64(limits.DiskWrite)})
		}
	}
	return nil
}
