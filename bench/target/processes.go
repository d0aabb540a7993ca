package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// mark is the variable that all processes of a sandbox of ours have, with the sandbox's id and a dot before what is random.
const mark = "SANDTREE_SANDBOX="

// marked are the processes of sandboxes of ours, as far as this machine sees them, by id.
func marked() (map[string][]reap.Proc, error) {
	all, err := reap.List()
	if err != nil {
		return nil, err
	}
	ours := map[string][]reap.Proc{}
	for _, p := range all {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		if err != nil {
			continue // it has ended, or is another user's
		}
		_, rest, ok := bytes.Cut(append([]byte{0}, environ...), []byte("\x00"+mark))
		if !ok {
			continue
		}
		value, _, _ := bytes.Cut(rest, []byte{0})
		if i := bytes.LastIndexByte(value, '.'); i > 0 {
			ours[string(value[:i])] = append(ours[string(value[:i])], p)
		}
	}
	return ours, nil
}

// processes are those of the runtime's sandbox. Empty if this machine sees none.
func (r *runtime) processes() ([]reap.Proc, error) {
	all, err := marked()
	return all[r.ID()], err
}

// server finds the process that performs the commands.
func (r *runtime) server() (reap.Proc, error) {
	all, err := r.processes()
	if err != nil {
		return reap.Proc{}, err
	}
	for _, p := range all {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)); err == nil && strings.HasPrefix(string(name), "sandboxd") {
			return p, nil
		}
	}
	return reap.Proc{}, unsupported("find the server", "this machine does not see the processes of the sandbox")
}

// Kill kills a piece of the runtime.
func (r *runtime) Kill(ctx context.Context, piece Piece) error {
	switch piece {
	case Server:
		p, err := r.server()
		if err != nil {
			return err
		}
		return errors.Join(unix.Kill(p.PID, unix.SIGKILL))
	case Sandbox:
		if _, err := r.server(); err != nil {
			return err
		}
		_, err := reap.Kill(ctx, r.processes)
		return err
	case Connection:
		if r.target.cuts == nil {
			return unsupported("cut the connection", "this target was not opened so that connections can be cut")
		}
		r.target.cuts.cut(r.Runtime.ID())
		return nil
	}
	return unsupported("kill", fmt.Sprintf("a runtime has no piece %q that it could kill itself", piece))
}

// Uses is what the processes of each sandbox use.
func (s *System) Uses(context.Context) (map[string]Use, error) {
	all, err := marked()
	if err != nil {
		return nil, err
	}
	uses := map[string]Use{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.states {
		if uses[string(id)], err = used(all[string(id)]); err != nil {
			return nil, err
		}
		if uses[string(id)].Processes == 0 {
			return nil, unsupported("measure", "this machine does not see the processes of the sandboxes")
		}
	}
	return uses, nil
}

// used adds up what processes use. Those that end meanwhile are left out.
func used(all []reap.Proc) (Use, error) {
	var u Use
	for _, p := range all {
		memory, err := proportional(p.PID)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return Use{}, &sandbox.Error{Code: sandbox.Unsupported, Op: "measure", Err: err}
		}
		cpu, _ := cpuTime(p.PID)
		u.Memory, u.CPU, u.Processes = u.Memory+memory, u.CPU+cpu, u.Processes+1
	}
	return u, nil
}

// proportional is the memory of a process, its share of what it shares with others: Pss of smaps_rollup, see proc(5).
func proportional(pid int) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, nil // it is about to end
}

// tick is the unit of the times in /proc/PID/stat: the kernel shows them to user space in hundredths on all machines.
const tick = 10 * time.Millisecond

// cpuTime is the time that a process and its children that it has waited for have had.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // a name may have spaces and parentheses
	if len(f) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	var sum time.Duration
	for _, field := range f[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
