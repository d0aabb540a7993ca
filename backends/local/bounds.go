package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

// bounds are the limits of a sandbox.
type bounds struct {
	group int // processes and threads in its control group, which its label names; negative is any number
	user  int // RLIMIT_NPROC: processes and threads of this user, those outside the sandbox included; 0 is none
}

// make makes the control group. "" is none.
func (b bounds) make(dir string) error {
	if dir == "" {
		return nil
	}
	return cgroup.Make(dir, b.group)
}

// Enforces names the limits that this process can enforce: the number of processes, unless it is root without the
// pids controller, whom RLIMIT_NPROC does not bind.
func (d *Driver) Enforces() []string {
	if os.Geteuid() != 0 || groups() != "" {
		return []string{backends.LimitProcesses}
	}
	return nil
}

// Resident says that the sandboxes use up this host.
func (d *Driver) Resident() bool { return true }

// bind decides what holds the processes of the sandbox together and bounds their number, and names the group in l.
func bind(l *label) (bounds, error) {
	n := l.Limits.Processes
	if n == 0 {
		n = sandbox.DefaultProcesses
	}
	if above := groups(); above != "" {
		l.Cgroup = filepath.Join(above, l.Mark)
		return bounds{group: n}, nil
	}
	l.Cgroup = ""
	switch {
	case n < 0 || os.Geteuid() == 0 && l.Limits.Processes == 0:
		return bounds{}, nil
	case os.Geteuid() == 0:
		return bounds{}, homes.Coded(sandbox.Unsupported,
			errors.New("limits.processes: those of root are bounded by the pids controller only, which is not at hand"))
	}
	others, err := threads(os.Geteuid())
	if err != nil {
		return bounds{}, err
	}
	return bounds{user: others + n}, nil
}

// groups gives the directory of the group in which those of the sandboxes are; "" if this process cannot make groups that
// bound processes.
var groups = sync.OnceValue(func() string {
	dir, err := cgroup.Parent("sandtree")
	if err != nil {
		return ""
	}
	return dir
})

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
