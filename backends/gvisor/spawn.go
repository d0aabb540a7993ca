package gvisor

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
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
func (d *Driver) spawn(h homes.Home, l *label, b binaries) (_ *spawned, err error) {
	log, err := os.OpenFile(h.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &spawned{}
	var theirs []*os.File // standard input, standard output, order
	defer func() {
		closeAll(theirs)
		if err != nil {
			s.pipes().Close()
		}
	}()
	if theirs, err = s.open(); err != nil {
		return nil, err
	}
	opened, err := d.open(h, l, b.sandboxd)
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, opened.files...)
	g := homes.Group(l)
	if err := g.Make(bounds(l)); err != nil {
		return nil, err
	}
	s.order = func(args []string) order { return d.order(l, g, opened, args) }
	if s.process, err = d.start1(h, l.Mark, g, b.companion, log, theirs); err != nil {
		return nil, err
	}
	if err = homes.Expose(s.process); err != nil {
		s.process.Kill()
	}
	return s, err
}

// open makes the pipes.
func (s *spawned) open() (theirs []*os.File, err error) {
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
func (d *Driver) start1(h homes.Home, mark string, g cgroup.Group, program string, log *os.File, theirs []*os.File) (*held.Process, error) {
	return d.homes.Spawn(h, g, &syscall.SysProcAttr{Cloneflags: isolated, Setsid: true}, func() *exec.Cmd {
		cmd := exec.Command(program, "hold")
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + homes.LoginPath, homes.MarkName + "=" + mark}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], log
		cmd.ExtraFiles = theirs[2:]
		return cmd
	}, cannot)
}

// cannot says what to do where the kernel makes no namespaces.
func cannot(err error) error {
	if !homes.NoNamespaces(err) {
		return err
	}
	return homes.Coded(sandbox.Unsupported, errors.Join(errors.New("no sandbox can be made here; in a container root needs all privileges (--privileged)"), err))
}
