package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The controllers that a Group can have. That of the freezer is none of its own in version 2, where every group has it.
const (
	PIDs    = "pids"
	Memory  = "memory"
	CPU     = "cpu"
	CPUSet  = "cpuset"
	Freezer = "freezer"
	IO      = "io" // which is blkio in version 1
)

var controllers = []string{PIDs, Memory, CPU, CPUSet, Freezer, IO}

// first is the name of a controller in version 1.
func first(controller string) string {
	if controller == IO {
		return "blkio"
	}
	return controller
}

// A Tree is where groups can be made: the directory of a parent by controller. In version 2 it is one for all of them. A
// controller that this process cannot use is not there.
type Tree map[string]string

// NewTree makes the group name, below which the groups of others are to be, in every hierarchy that has one of the
// controllers. It is empty where this process may not, or where there is none.
func NewTree(name string) Tree {
	tree := Tree{}
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return tree
	}
	for line := range strings.Lines(string(b)) {
		m := strings.Fields(line) // device, where, type, options, …
		if len(m) < 4 {
			continue
		}
		switch m[2] {
		case "cgroup":
			for _, c := range controllers {
				if strings.Contains(","+m[3]+",", ","+first(c)+",") {
					tree.add(c, m[1], name)
				}
			}
		case "cgroup2":
			tree.addUnified(m[1], name)
		}
	}
	return tree
}

// add makes the parent of one controller in a hierarchy of version 1.
func (t Tree) add(controller, root, name string) {
	dir := filepath.Join(root, name)
	if os.MkdirAll(dir, 0o755) != nil {
		return
	}
	if controller == CPUSet { // no process may enter a group without CPUs and memory
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if inherit(root, dir, file) != nil {
				return
			}
		}
	}
	if writable(dir) == nil {
		t[controller] = dir
	}
}

// addUnified makes the parent in the hierarchy of version 2, for those controllers that no hierarchy of version 1 has. Where
// both are mounted it may have none.
func (t Tree) addUnified(root, name string) {
	b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return
	}
	there := strings.Fields(string(b))
	wanted := slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return !slices.Contains(there, c) })
	dir := filepath.Join(root, name)
	if len(wanted) == 0 || os.MkdirAll(dir, 0o755) != nil || writable(dir) != nil {
		return
	}
	for _, c := range wanted {
		if write(root, "cgroup.subtree_control", "+"+c) == nil && write(dir, "cgroup.subtree_control", "+"+c) == nil {
			t[c] = dir
		}
	}
	if t[PIDs] == dir { // every group of version 2 can be frozen
		t[Freezer] = dir
	}
}

// writable says whether groups can be made in a directory: a tree can look writable and not be.
func writable(dir string) error {
	probe, err := os.MkdirTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}

// Has says whether groups of this tree have a controller.
func (t Tree) Has(controller string) bool { return t[controller] != "" }

// Unified says whether a controller is in the hierarchy of version 2.
func (t Tree) Unified(controller string) bool { return t.Has(controller) && unified(t[controller]) }

// inherit copies a file's value from the group above, unless it has one.
func inherit(above, dir, file string) error {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(b)) != "" {
		return nil
	}
	if b, err = os.ReadFile(filepath.Join(above, file)); err != nil {
		return err
	}
	if strings.TrimSpace(string(b)) == "" {
		return errors.New(file + " is empty above " + dir)
	}
	return write(dir, file, strings.TrimSpace(string(b)))
}
