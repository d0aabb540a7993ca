package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// bounds are the limits that a server is started with, besides the control group, which its label names.
type bounds struct {
	user int // RLIMIT_NPROC: processes and threads of this user, those outside the sandbox included; 0 is none
}

// cgroupParent is the group in which those of the sandboxes are.
const cgroupParent = "sandtree"

// Enforces names the limits that this process can enforce: the number of processes, unless it is root without the
// pids controller, whom RLIMIT_NPROC does not bind.
func (d *Driver) Enforces() []string {
	if os.Geteuid() != 0 || groups() != nil {
		return []string{backends.LimitProcesses}
	}
	return nil
}

// bind makes what holds the processes of the sandbox together and bounds their number, and notes it in l.
func (d *Driver) bind(l *label) (bounds, error) {
	n := l.Limits.Processes
	if n == 0 {
		n = sandbox.DefaultProcesses
	}
	if make := groups(); make != nil {
		dir, err := make(l.Mark, n)
		l.Cgroup = dir
		return bounds{}, err
	}
	l.Cgroup = ""
	switch {
	case n < 0 || os.Geteuid() == 0 && l.Limits.Processes == 0:
		return bounds{}, nil
	case os.Geteuid() == 0:
		return bounds{}, coded{sandbox.Unsupported,
			errors.New("limits.processes: those of root are bounded by the pids controller only, which is not at hand")}
	}
	others, err := threads(os.Geteuid())
	if err != nil {
		return bounds{}, err
	}
	return bounds{user: others + n}, nil
}

// groups gives the function that makes the control group of one sandbox, with room for so many processes (negative:
// any number); nil if this process cannot make groups that bound them.
var groups = sync.OnceValue(func() func(name string, processes int) (string, error) {
	above, err := groupParent()
	if err != nil {
		return nil
	}
	return func(name string, processes int) (string, error) {
		dir := filepath.Join(above, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		limit := "max"
		if processes > 0 {
			limit = strconv.Itoa(processes)
		}
		return dir, os.WriteFile(filepath.Join(dir, "pids.max"), []byte(limit), 0)
	}
})

// groupParent makes the group above those of the sandboxes, in version 1 or 2 of control groups.
func groupParent() (string, error) {
	root, unified, err := pidsRoot()
	if err != nil {
		return "", err
	}
	above := filepath.Join(root, cgroupParent)
	if err := os.MkdirAll(above, 0o755); err != nil {
		return "", err
	}
	if unified {
		for _, dir := range []string{root, above} { // a group has what those above hand down; asking twice is no error
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+pids"), 0); err != nil {
				return "", err
			}
		}
	}
	probe, err := os.MkdirTemp(above, ".probe-") // a tree can look writable and not be
	if err != nil {
		return "", err
	}
	defer os.Remove(probe)
	if _, err := os.Stat(filepath.Join(probe, "pids.max")); err != nil {
		return "", err
	}
	return above, nil
}

// pidsRoot finds where the hierarchy with the pids controller is mounted.
func pidsRoot() (root string, unified bool, err error) {
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

// threads counts what RLIMIT_NPROC counts for a user, now.
func threads(uid int) (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("count the user's processes: %w", err)
	}
	n := 0
	for _, e := range entries {
		info, err := e.Info()
		if _, numeric := strconv.Atoi(e.Name()); err != nil || numeric != nil {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != uid {
			continue
		}
		tasks, _ := os.ReadDir("/proc/" + e.Name() + "/task")
		n += len(tasks)
	}
	return n, nil
}
