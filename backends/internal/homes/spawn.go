package homes

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
)

// Spawn starts the first process of a sandbox in its control group, with attr, and adopts it. command gives it anew for each attempt.
// An error of the kernel's, which makes no such process, is what cannot makes of it.
func (e *Homes[L]) Spawn(h Home, g cgroup.Group, attr *syscall.SysProcAttr, command func() *exec.Cmd, cannot func(error) error) (*held.Process, error) {
	fd := -1
	attr.PidFD = &fd
	var cmd *exec.Cmd
	err := g.Start(attr, func() (int, error) {
		cmd = command()
		cmd.SysProcAttr = attr
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	if cmd == nil || cmd.Process == nil {
		return nil, cannot(err)
	}
	if err == nil {
		return e.Adopt(h, cmd.Process, fd, func() bool { return g.OOMKills() > 0 })
	}
	if fd >= 0 {
		unix.Close(fd)
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil, err
}

// Adopt takes a new child into those held, by its pidfd, and notes who it is; starved, if it is not nil, tells whether it was killed for
// want of memory. If it cannot, the child is killed.
func (e *Homes[L]) Adopt(h Home, child *os.Process, fd int, starved func() bool) (*held.Process, error) {
	p, err := held.Hold(child.Pid, fd, h.ExitFile())
	if err == nil {
		p.Starved = starved
		if err = held.WriteJSON(h.PIDFile(), p.Identity); err == nil {
			err = e.Keep(p)
		}
		if err == nil {
			return p, child.Release()
		}
		p.Drop()
	} else if fd >= 0 {
		unix.Close(fd)
	}
	child.Kill()
	child.Wait()
	return nil, err
}

// NoNamespaces says whether err is what the kernel says where it makes no namespaces.
func NoNamespaces(err error) bool {
	for _, e := range []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EINVAL, unix.EUSERS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// OOMScore is what the kernel goes by where the machine runs out of memory: sandboxes go before what looks after them.
const OOMScore = 500

// Expose says so of the first process of a sandbox. What a process with CAP_SYS_RESOURCE on the machine has set is the least that
// the sandbox can have; what is set in it, a program in it can take back. Only root can; see proc(5).
func Expose(p *held.Process) error {
	if os.Geteuid() != 0 {
		return nil
	}
	f, err := os.OpenFile("/proc/"+strconv.Itoa(p.PID)+"/oom_score_adj", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if !p.Alive() { // else the file is its own, whoever has the number later
		return held.ErrEnded
	}
	_, err = f.WriteString(strconv.Itoa(OOMScore))
	return err
}
