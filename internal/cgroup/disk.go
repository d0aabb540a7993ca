package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Disk is a block device whose reads and writes a group can bound.
type Disk struct {
	Number string // as the kernel writes it, "254:0"
	Path   string // "/dev/vda"
}

// DisksOf tells on which disks the files at these paths are. A file system that is on no disk, or on several, as those in
// memory, of networks, overlays and btrfs, does not tell, which is an error.
func DisksOf(paths ...string) ([]Disk, error) {
	var all []Disk
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return nil, &os.PathError{Op: "stat", Path: path, Err: err}
		}
		d, err := whole(unix.Major(st.Dev), unix.Minor(st.Dev))
		if err != nil {
			return nil, fmt.Errorf("%s is on a file system that does not tell its disk: %w", path, err)
		}
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all, nil
}

// whole gives the disk of a device, which may be a part of it: parts cannot be bounded.
func whole(major, minor uint32) (Disk, error) {
	dir := filepath.Join("/sys/dev/block", strconv.Itoa(int(major))+":"+strconv.Itoa(int(minor)))
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Disk{}, err
	}
	if _, err := os.Stat(filepath.Join(real, "partition")); err == nil {
		real = filepath.Dir(real)
	}
	number, err := os.ReadFile(filepath.Join(real, "dev"))
	if err != nil {
		return Disk{}, err
	}
	facts, err := os.ReadFile(filepath.Join(real, "uevent"))
	if err != nil {
		return Disk{}, err
	}
	d := Disk{Number: string(bytes.TrimSpace(number))}
	for line := range strings.Lines(string(facts)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			d.Path = "/dev/" + name
		}
	}
	return d, nil
}
