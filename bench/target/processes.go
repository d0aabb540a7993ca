package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// server finds the process that performs the commands of a runtime: the one that its backend has noted in the sandbox's directory, as
// those do that start it themselves; else whoever listens where the sandbox is dialed (see SO_PEERCRED in unix(7)).
func (s *System) server(ctx context.Context, id sandbox.ID) (reap.Proc, error) {
	s.mu.Lock()
	known := s.servers[id]
	s.mu.Unlock()
	if p, err := reap.Stat(known.PID); known.PID > 0 && err == nil && p.Start == known.Start {
		return p, nil
	}
	pid, err := s.serverPID(ctx, id)
	if err != nil {
		return reap.Proc{}, err
	}
	if pid == os.Getpid() {
		return reap.Proc{}, unsupported("find the server", "this process made the socket that it listens at, so nothing tells which process it is")
	}
	p, err := reap.Stat(pid)
	if err == nil {
		s.mu.Lock()
		s.servers[id] = p
		s.mu.Unlock()
	}
	return p, err
}

func (s *System) serverPID(ctx context.Context, id sandbox.ID) (int, error) {
	var noted held.Identity
	if held.ReadJSON(filepath.Join(s.config.StateDir, s.config.Backend, string(id), "pid.json"), &noted) == nil && held.Alive(noted) {
		return noted.PID, nil
	}
	instance, err := s.driver.Attach(ctx, id)
	if err != nil {
		return 0, err
	}
	conn, err := instance.Dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	pid, err := listener(conn)
	if err != nil {
		err = unsupported("find the server", "this machine does not see the processes of the sandboxes: "+err.Error())
	}
	return pid, err
}

// listener is the process at the other end.
func listener(conn net.Conn) (pid int, err error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("the sandbox is reached by a %T", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	failed := raw.Control(func(fd uintptr) { credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	if credentials.Pid <= 0 {
		return 0, errors.New("its server is in a process namespace that is not below ours")
	}
	return int(credentials.Pid), nil
}

// family gives a process and its descendants, of which there are many families in one list.
func family(all []reap.Proc, server reap.Proc) []reap.Proc {
	children := map[int][]reap.Proc{}
	for _, p := range all {
		children[p.PPID] = append(children[p.PPID], p)
	}
	ours := []reap.Proc{server}
	for i := 0; i < len(ours); i++ {
		ours = append(ours, children[ours[i].PID]...)
	}
	return ours
}

// Kill kills a piece of the runtime.
func (r *runtime) Kill(ctx context.Context, piece Piece) error {
	switch piece {
	case Server, Sandbox:
		server, err := r.target.server(ctx, r.Runtime.ID())
		if err != nil {
			return err
		}
		if piece == Server {
			return errors.Join(unix.Kill(server.PID, unix.SIGKILL))
		}
		_, err = reap.Kill(ctx, func() ([]reap.Proc, error) {
			all, err := reap.List()
			if p, gone := reap.Stat(server.PID); gone != nil || p.Start != server.Start {
				return nil, err // and with it what was below it
			}
			return family(all, server), err
		})
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
func (s *System) Uses(ctx context.Context) (map[string]Use, error) {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.states))
	s.mu.Unlock()
	servers := map[sandbox.ID]reap.Proc{}
	for _, id := range ids {
		p, err := s.server(ctx, id)
		if sandbox.CodeOf(err) == sandbox.NotFound {
			continue // it rests, or has just ended
		}
		if err != nil {
			return nil, err
		}
		servers[id] = p
	}
	all, err := reap.List()
	if err != nil {
		return nil, err
	}
	uses := map[string]Use{}
	for id, server := range servers {
		if uses[string(id)], err = used(family(all, server)); err != nil {
			return nil, err
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
