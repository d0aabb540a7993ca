package jail

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// spawned is a jail whose first process has been started and may not serve yet. The pipes are our ends.
type spawned struct {
	process *held.Process
	stage   *os.File // it reads its Spec
	ready   *os.File
	key     *os.File
	env     *os.File
	spec    []byte
}

// ends are the pipes' other ends, and what else the first process is handed down, by descriptor from stage.SpecFD on.
type ends []*os.File

// spawn makes a jail and starts its first process, which waits to be told what the jail should be.
func (d *Driver) spawn(h home, l label, program string, args []string) (_ *spawned, err error) {
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &spawned{}
	var theirs ends
	defer func() {
		closeAll(theirs)
		if err != nil {
			s.close()
		}
	}()
	loading, loaded, err := loadedPipe(l)
	if err != nil {
		return nil, err
	}
	defer loading.Close() // of a nil file, an error that says so
	defer loaded.Close()
	if theirs, err = s.pipes(h, loaded, program); err != nil {
		return nil, err
	}
	if err := d.give(l, theirs); err != nil {
		return nil, err
	}
	opened, err := d.open(h, l, theirs[programFD-stage.SpecFD])
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, opened.files...)
	g := d.group(l)
	if err := g.Make(cgroup.Limits{}); err != nil {
		return nil, err
	}
	if s.process, err = d.start1(h, l, g, log, theirs); err != nil {
		return nil, err
	}
	if err = expose(s.process); err == nil && loaded != nil {
		loaded.Close() // so that it ends with the first process'
		err = d.watch(h, l, s.process, loading)
	}
	if err != nil {
		s.process.Kill()
		return s, err
	}
	// A program takes milliseconds before it looks for what it needs, and that is enough to make the rest.
	if s.spec, err = d.prepare(l, g, opened, args); err != nil {
		s.process.Kill()
	}
	return s, err
}

// expose puts the jail before others where the machine is short of memory. What a process with CAP_SYS_RESOURCE on the machine
// has set is the least that the jail can have; what the stage sets by itself, a program in it can take back. See proc(5).
func expose(p *held.Process) error {
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
	_, err = f.WriteString(strconv.Itoa(oomScore))
	return err
}

// prepare sets the limits, and gives what the first process is to read.
func (d *Driver) prepare(l label, g cgroup.Group, o opened, args []string) ([]byte, error) {
	limits := d.bounds(l)
	if err := d.throttle(l, &limits); err != nil {
		return nil, err
	}
	if err := g.Make(limits); err != nil {
		return nil, err
	}
	layout, err := d.layout(l, g, o)
	if err != nil {
		return nil, err
	}
	layout.Args = args
	return json.Marshal(layout)
}

// pipes makes them, the sockets, and opens the program, in the order of the descriptors.
func (s *spawned) pipes(h home, loaded *os.File, program string) (theirs ends, err error) {
	for _, end := range []struct {
		ours  **os.File
		reads bool // they do
	}{{&s.stage, true}, {&s.ready, false}, {&s.key, true}, {&s.env, true}} {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		if end.reads {
			r, w = w, r
		}
		*end.ours, theirs = r, append(theirs, w)
	}
	for _, name := range []string{serverSocket, doorsSocket} {
		listener, err := h.listen(name)
		if err != nil {
			return theirs, err
		}
		theirs = append(theirs, listener)
	}
	theirs = append(theirs, loaded) // nil is none
	// By its descriptor the jail's user can execute it wherever it is.
	p, err := os.Open(program)
	if err != nil {
		return theirs, err
	}
	return append(theirs, p), nil
}

// give lets the jail's user open again by name, as /dev/fd/N, what it is handed down.
func (d *Driver) give(l label, theirs ends) error {
	if l.FirstID == 0 {
		return nil
	}
	inside := int(l.FirstID) + d.user().id
	for _, fd := range []int{keyFD, envFD} {
		if err := theirs[fd-stage.SpecFD].Chown(inside, inside); err != nil {
			return err
		}
	}
	return nil
}

// isolated are the namespaces of a jail.
const isolated = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// attributes are those of the first process. It has its capabilities in its own user namespace alone, and gives them up in
// the end of its stage; as an ambient set, for its number need not be root's.
func (d *Driver) attributes(l label) *syscall.SysProcAttr {
	u := d.user()
	a := &syscall.SysProcAttr{Cloneflags: isolated, Setsid: true,
		Credential: &syscall.Credential{Uid: uint32(u.id), Gid: uint32(u.id)},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP,
			// What lies under an overlay keeps its owner, and the overlay has a directory that nobody else may enter.
			unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID}}
	if l.FirstID != 0 {
		a.UidMappings, a.GidMappings, a.GidMappingsEnableSetgroups = l.mappings(), l.mappings(), true
	} else {
		a.UidMappings, a.GidMappings = own(u.id, os.Geteuid()), own(u.id, os.Getegid())
		a.Credential.NoSetGroups = true
	}
	return a
}

// start1 starts the first process, in its control group.
func (d *Driver) start1(h home, l label, g cgroup.Group, log *os.File, theirs ends) (*held.Process, error) {
	fd := -1
	attr := d.attributes(l)
	attr.PidFD = &fd
	var cmd *exec.Cmd
	err := g.Start(attr, func() (int, error) {
		cmd = exec.Command("/proc/self/fd/" + strconv.Itoa(programFD))
		cmd.Args = []string{"sandboxd", "stage"}
		cmd.Dir = "/"
		cmd.Env = environ(d.base(l.Mark))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.ExtraFiles = theirs
		cmd.SysProcAttr = attr
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	if cmd == nil || cmd.Process == nil {
		return nil, d.cannot(err)
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

// cannot says what to do where the kernel makes no jail.
func (d *Driver) cannot(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EUSERS):
		return coded{sandbox.Unsupported, fmt.Errorf("no jail can be made here: %w: %s", err, advice)}
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
