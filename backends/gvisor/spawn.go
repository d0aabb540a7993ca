package gvisor

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// spawned is a companion that has been started, and a server that may not serve yet. The pipes are our ends.
type spawned struct {
	process *held.Process
	asks    *os.File // the companion reads its order
	stdin   *os.File // the server reads what it is told
	ready   *os.File // the server writes a byte when it serves
	order   func(args []string) order
}

// spawn makes namespaces and starts the companion in them, which waits to be told what the sandbox should be.
func (d *Driver) spawn(h home, l label, b binaries) (_ *spawned, err error) {
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &spawned{}
	var theirs []*os.File // standard input, standard output, order
	defer func() {
		closeAll(theirs)
		if err != nil {
			s.close()
		}
	}()
	if theirs, err = s.pipes(); err != nil {
		return nil, err
	}
	opened, err := d.open(h, l, b.sandboxd)
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, opened.files...)
	g := d.group(l)
	if err := g.Make(d.bounds(l)); err != nil {
		return nil, err
	}
	s.order = func(args []string) order { return d.order(l, g, opened, args) }
	if s.process, err = d.start1(h, l.Mark, g, b.companion, log, theirs); err != nil {
		return nil, err
	}
	if err = expose(s.process); err != nil {
		s.process.Kill()
	}
	return s, err
}

// expose puts the companion before others where the machine is short of memory, as gVisor puts the rest. See proc(5).
func expose(p *held.Process) error {
	f, err := os.OpenFile("/proc/"+strconv.Itoa(p.PID)+"/oom_score_adj", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if !p.Alive() { // else the file is its own, whoever has the number later
		return held.ErrEnded
	}
	_, err = f.WriteString(strconv.Itoa(oomScore))
	return err
}

// pipes makes them.
func (s *spawned) pipes() (theirs []*os.File, err error) {
	for _, end := range []struct {
		ours  **os.File
		reads bool // they do
	}{{&s.stdin, true}, {&s.ready, false}, {&s.asks, true}} {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		if end.reads {
			r, w = w, r
		}
		*end.ours, theirs = r, append(theirs, w)
	}
	return theirs, nil
}

// isolated are the namespaces of a companion, in which it puts the sandbox together as root. What gVisor starts of it has more
// of its own, and user numbers that are nobody's on the machine.
const isolated = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// start1 starts the companion, in its control group.
func (d *Driver) start1(h home, mark string, g cgroup.Group, program string, log *os.File, theirs []*os.File) (*held.Process, error) {
	fd := -1
	attr := &syscall.SysProcAttr{Cloneflags: isolated, Setsid: true, PidFD: &fd}
	var cmd *exec.Cmd
	err := g.Start(attr, func() (int, error) {
		cmd = exec.Command(program, "hold")
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + loginPath, markName + "=" + mark}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], log
		cmd.ExtraFiles = theirs[2:]
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
		var p *held.Process
		if p, err = d.adopt(h, g, cmd.Process.Pid, fd); err == nil {
			return p, cmd.Process.Release()
		}
	} else if fd >= 0 {
		unix.Close(fd)
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil, err
}

// cannot says what to do where the kernel makes no namespaces.
func cannot(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EUSERS):
		return coded{sandbox.Unsupported, errors.Join(errors.New("no sandbox can be made here; in a container root needs all privileges (--privileged)"), err)}
	}
	return err
}

// adopt takes the new child into those held and notes who it is.
func (d *Driver) adopt(h home, g cgroup.Group, pid, fd int) (*held.Process, error) {
	p, err := held.Hold(pid, fd, h.exitFile())
	if err != nil {
		return nil, err
	}
	p.Starved = func() bool { return g.OOMKills() > 0 }
	if err := held.WriteJSON(h.pidFile(), p.Identity); err != nil {
		p.Drop()
		return nil, err
	}
	if err := d.keep(p); err != nil {
		p.Drop()
		return nil, err
	}
	return p, nil
}
