package jail

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
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
	made
}

// ends are the pipes' other ends, and what else the first process is handed down, by descriptor from stage.SpecFD on.
type ends []*os.File

// spawn makes a jail and starts its first process, which waits to be told what the jail should be. A program takes milliseconds before
// it looks for what it needs: meanwhile the rest is made.
func (d *Driver) spawn(h home, l label, program string, args []string) (_ *spawned, err error) {
	s := &spawned{}
	g := homes.Group(&l.Label)
	var making, rest sync.WaitGroup
	var groupErr, restErr error
	making.Go(func() { groupErr = g.Make(cgroup.Limits{}) }) // one per controller, while the rest is opened
	defer making.Wait()                                      // whoever clears away after a failure must find them all
	log, err := os.OpenFile(h.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var theirs ends
	defer func() {
		rest.Wait()
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
	if theirs, err = s.pipes(loaded, program); err != nil {
		return nil, err
	}
	if err := d.give(l, theirs); err != nil {
		return nil, err
	}
	if making.Wait(); groupErr != nil {
		return nil, groupErr
	}
	rest.Go(func() { restErr = s.make(d, h, l, g, theirs, args) })
	if s.process, err = d.start1(h, l, g, log, theirs); err != nil {
		return nil, err
	}
	if err = homes.Expose(s.process); err == nil && loaded != nil {
		loaded.Close() // so that it ends with the first process'
		err = d.watch(h, l, s.process, loading)
	}
	if rest.Wait(); err == nil {
		err = restErr
	}
	if err != nil {
		s.process.Kill()
	}
	return s, err
}

// pipes makes them, the sockets, which are nowhere yet, and opens the program, in the order of the descriptors.
func (s *spawned) pipes(loaded *os.File, program string) (theirs ends, err error) {
	ours, first, err := stage.Pair()
	if err != nil {
		return nil, err
	}
	s.stage, theirs = ours, ends{first}
	for _, end := range []struct {
		ours  **os.File
		reads bool // they do
	}{{&s.ready, false}, {&s.key, true}, {&s.env, true}} {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		if end.reads {
			r, w = w, r
		}
		*end.ours, theirs = r, append(theirs, w)
	}
	for range []string{serverSocket, doorsSocket} {
		socket, err := newSocket()
		if err != nil {
			return theirs, err
		}
		theirs = append(theirs, socket)
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
	inside := int(l.FirstID) + d.user().ID
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
		Credential: &syscall.Credential{Uid: uint32(u.ID), Gid: uint32(u.ID)},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP,
			// What lies under an overlay keeps its owner, and the overlay has a directory that nobody else may enter.
			unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID}}
	if l.FirstID != 0 {
		a.UidMappings, a.GidMappings, a.GidMappingsEnableSetgroups = l.Mappings(), l.Mappings(), true
	} else {
		a.UidMappings, a.GidMappings = homes.MapOne(u.ID, os.Geteuid()), homes.MapOne(u.ID, os.Getegid())
		a.Credential.NoSetGroups = true
	}
	return a
}

// start1 starts the first process, in its control group.
func (d *Driver) start1(h home, l label, g cgroup.Group, log *os.File, theirs ends) (*held.Process, error) {
	return d.homes.Spawn(h.Home, g, d.attributes(l), func() *exec.Cmd {
		cmd := exec.Command("/proc/self/fd/" + strconv.Itoa(programFD))
		cmd.Args = []string{"sandboxd", "stage"}
		cmd.Dir = "/"
		cmd.Env = homes.Environ(d.base(l.Mark))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.ExtraFiles = theirs
		return cmd
	}, cannot)
}

// cannot says what to do where the kernel makes no jail.
func cannot(err error) error {
	if !homes.NoNamespaces(err) {
		return err
	}
	return homes.Coded(sandbox.Unsupported, fmt.Errorf("no jail can be made here: %w: %s", err, advice))
}
