// Package cgroup makes control groups that bound the number of processes, in version 1 or 2 of the kernel's interface,
// and starts processes in them. Killing what is in one is package reap's.
package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Parent makes the group name, below which the groups of others are to be, and returns its directory. It fails where
// this process cannot make groups that bound processes: it is not root, or the tree is mounted read-only, or there is
// no pids controller.
func Parent(name string) (string, error) {
	root, unified, err := mounted()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if unified {
		for _, above := range []string{root, dir} { // a group has what those above hand down; asking twice is no error
			if err := write(above, "cgroup.subtree_control", "+pids"); err != nil {
				return "", err
			}
		}
	}
	probe, err := os.MkdirTemp(dir, ".probe-") // a tree can look writable and not be
	if err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(probe, "pids.max"))
	return dir, errors.Join(err, os.Remove(probe))
}

// Make makes a group with room for so many processes and threads, or any number if processes is not positive. One that
// exists is given the limit.
func Make(dir string, processes int) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	limit := "max"
	if processes > 0 {
		limit = strconv.Itoa(processes)
	}
	return write(dir, "pids.max", limit)
}

// Remove removes a group without processes, and those below it. One that is not there is no error.
func Remove(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		if err = os.Remove(dirs[i]); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return err
}

// mounted finds where the hierarchy with the pids controller is mounted.
func mounted() (root string, unified bool, err error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(b)) {
		m := strings.Fields(line) // device, where, type, options, …
		if len(m) < 4 {
			continue
		}
		switch m[2] {
		case "cgroup":
			if strings.Contains(","+m[3]+",", ",pids,") {
				return m[1], false, nil // where both versions are mounted, only one has the controller
			}
		case "cgroup2":
			c, _ := os.ReadFile(filepath.Join(m[1], "cgroup.controllers"))
			if strings.Contains(" "+strings.TrimSpace(string(c))+" ", " pids ") {
				root, unified = m[1], true
			}
		}
	}
	if root == "" {
		return "", false, errors.New("no hierarchy of control groups with the pids controller is mounted")
	}
	return root, unified, nil
}

func write(dir, name, value string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(value), 0)
}
