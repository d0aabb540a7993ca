// Package child starts the programs that a sandbox's server runs besides its shells: kernels, browsers, tool servers,
// processes of their own. Each leads a session of the kernel and is, with all that it starts, in a cage of its own, so
// that ending it leaves nothing. Only Linux.
package child

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
)

// Config is what all programs of one server have in common.
type Config struct {
	User      *syscall.Credential // nil: the caller's
	Cgroup    string              // directory of the cgroup below which each gets one of its own; "" none
	Processes int                 // RLIMIT_NPROC where there is no Cgroup; 0 leaves it
	OnStart   func(pid int)       // called for every program at once after its start; its pid is its session's id
}

// Command is one program.
type Command struct {
	Path  string     // of the program: absolute, or relative to the server
	Args  []string   // with the program's name first
	Env   []string   // its whole environment, KEY=VALUE; of several with one name the last counts
	Dir   string     // "" is "/"
	Files []*os.File // its descriptors from 0 on; nil is none. The caller still closes its own
	Name  string     // what the cgroup begins with; "" is "child"
	TTY   bool       // its standard input is a terminal, which becomes the one that controls it
}

// A Child is a program that has been started. Safe for concurrent use.
type Child struct {
	PID  int
	proc *os.Process
	done chan struct{} // closed when state is set
	exit Exit

	mu     sync.Mutex
	cage   Cage
	closed bool
	err    error
}

// Exit is how a program ended.
type Exit struct {
	Code   int // -1 if a signal ended it
	Signal syscall.Signal
	Usage  Usage
}

// Usage is what a program has used, with those of its children that it has waited for.
type Usage struct {
	User, System time.Duration // of processor time
	MaxRSS       int64         // bytes: the most that it, or one of those children, had in memory at a time
}

// Start starts a program. Errors are those of the system: ENOENT, EACCES, EAGAIN, …
func Start(c Config, cmd Command) (*Child, error) {
	name := cmd.Name
	if name == "" {
		name = "child"
	}
	cage, err := NewCage(c.Cgroup, name)
	if err != nil {
		return nil, err
	}
	dir := cmd.Dir
	if dir == "" {
		dir = "/"
	}
	attr := &os.ProcAttr{Dir: dir, Env: lastOfEach(cmd.Env), Files: cmd.Files, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: cmd.TTY, Credential: c.User}}
	proc, err := StartIn(cage.Group, cmd.Path, cmd.Args, attr)
	if err != nil {
		return nil, errors.Join(err, cage.Remove())
	}
	cage.Add(proc.Pid)
	child := &Child{PID: proc.Pid, proc: proc, done: make(chan struct{}), cage: cage}
	if c.OnStart != nil {
		c.OnStart(proc.Pid)
	}
	if c.Cgroup == "" && c.Processes > 0 {
		n := uint64(c.Processes)
		if err := unix.Prlimit(proc.Pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			go child.wait()
			return nil, errors.Join(os.NewSyscallError("prlimit", err), child.Close())
		}
	}
	go child.wait() // ends with the process, which Close kills
	return child, nil
}

// lastOfEach is env with the last variable of each name: what programs make of several is for each of them to say, and most
// take the first.
func lastOfEach(env []string) []string {
	last := make(map[string]int, len(env))
	for i, v := range env {
		name, _, _ := strings.Cut(v, "=")
		last[name] = i
	}
	if len(last) == len(env) {
		return env
	}
	kept := make([]string, 0, len(last))
	for i, v := range env {
		if name, _, _ := strings.Cut(v, "="); last[name] == i {
			kept = append(kept, v)
		}
	}
	return kept
}

// StartIn starts a process in the cgroup given; "" is none.
func StartIn(group, path string, argv []string, attr *os.ProcAttr) (proc *os.Process, err error) {
	err = cgroup.Start(group, attr.Sys, func() (pid int, err error) {
		if proc, err = os.StartProcess(path, argv, attr); err != nil {
			return 0, err
		}
		return proc.Pid, nil
	})
	if err != nil && proc != nil { // it runs, and could not be put into the group
		_ = proc.Kill()
		_, _ = proc.Wait()
	}
	return proc, err
}

func (c *Child) wait() {
	state, err := c.proc.Wait()
	c.exit = Exit{Code: -1}
	if err == nil {
		status := state.Sys().(syscall.WaitStatus)
		if c.exit.Code = status.ExitStatus(); status.Signaled() {
			c.exit.Signal = status.Signal()
		}
		c.exit.Usage = Usage{User: state.UserTime(), System: state.SystemTime()}
		if u, ok := state.SysUsage().(*syscall.Rusage); ok {
			c.exit.Usage.MaxRSS = u.Maxrss << 10 // Linux counts KiB
		}
	}
	close(c.done)
}

// Done is closed when the program has ended. What it has started may still run: see Close.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit is how the program ended; only after Done.
func (c *Child) Exit() Exit { <-c.done; return c.exit }

// Signal sends a signal to the program's process group, or to the program alone. ESRCH if it has ended.
func (c *Child) Signal(s syscall.Signal, group bool) error {
	select {
	case <-c.done:
		return unix.ESRCH
	default:
	}
	if !group {
		if err := c.proc.Signal(s); errors.Is(err, os.ErrProcessDone) {
			return unix.ESRCH
		} else if err != nil {
			return err
		}
		return nil
	}
	return unix.Kill(-c.PID, s)
}

// Release lets go of a program that has ended and, as far as can be seen without looking at every process there is, has
// left nothing: no process of its group, nor of its cgroup. If it has, it is left as it is, for Close, and ok is false.
func (c *Child) Release() (ok bool) {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return true
	case c.cage.Group != "":
		if cgroup.Remove(c.cage.Group) != nil {
			return false
		}
		c.cage.Group = ""
	case !errors.Is(unix.Kill(-c.PID, 0), unix.ESRCH):
		return false
	}
	c.closed = true
	return true
}

// PIDs gives the processes of the program that run now.
func (c *Child) PIDs() ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil
	}
	return c.cage.PIDs()
}

// Close kills the program and all that it has started and waits until they are gone. It may be called again.
func (c *Child) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.err
	}
	c.closed = true
	c.err = c.cage.Empty()
	if c.err != nil { // at least itself
		_ = c.proc.Kill()
	}
	<-c.done
	c.err = errors.Join(c.err, c.cage.Remove())
	return c.err
}
