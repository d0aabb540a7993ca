package jail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/held"
)

// auditSocket is where a keeper tells what it has seen.
const auditSocket = "audit"

func (h home) auditState() string { return h.Path("audit.state") }
func (h home) keeperFile() string { return h.Path("audit.exit") }   // how it ended
func (h home) keeperNote() string { return h.Path("audit.keeper") } // who it is

// errKept says that there is a keeper.
var errKept = errors.New("it is watched already")

// lockAuditState gives the file whose lock a keeper holds while it lives: a new one, for the first of a server, or that of
// the one before.
func (h home) lockAuditState(fresh bool) (*os.File, error) {
	flags := os.O_RDWR
	if fresh {
		if err := os.Remove(h.auditState()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(h.auditState(), flags, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errKept
	}
	if err == nil && fresh {
		err = f.Truncate(audit.StateSize)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// watch starts the first keeper of a server that has just been born, and gives it loaded, which ends when there is something
// to watch.
func (d *Driver) watch(h home, l label, server *held.Process, loaded *os.File) error {
	state, err := h.lockAuditState(true)
	if err != nil {
		return err
	}
	defer state.Close()
	return d.startKeeper(h, l, server, state, loaded)
}

// startKeeper starts a keeper, which gets state with its lock. Without loaded it takes the place of another.
func (d *Driver) startKeeper(h home, l label, server *held.Process, state, loaded *os.File) error {
	config, err := d.auditConfig(l, loaded == nil)
	if err != nil {
		return err
	}
	if loaded == nil { // there is nothing to wait for
		if loaded, err = os.Open(os.DevNull); err != nil {
			return err
		}
		defer loaded.Close()
	}
	program, err := d.sandboxd()
	if err != nil {
		return err
	}
	var theirs ends
	defer func() { closeAll(theirs) }()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	theirs = append(theirs, r)
	_, err = w.Write(config) // which the pipe takes without anybody who reads
	w.Close()
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(server.PID, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	theirs = append(theirs, os.NewFile(uintptr(pidfd), "pidfd"))
	if !server.Alive() { // else the number is its own
		return held.ErrEnded
	}
	listener, err := h.listen(auditSocket)
	if err != nil {
		return err
	}
	theirs = append(theirs, listener)
	return d.startAudit(h, program, append(theirs[:3:3], state, loaded))
}

// startAudit starts the program, with the descriptors from audit.ConfigFD on.
func (d *Driver) startAudit(h home, program string, theirs ends) error {
	log, err := os.OpenFile(h.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	fd := -1
	cmd := exec.Command(program, "audit")
	cmd.Dir = "/"
	cmd.Env = []string{} // it needs none, and has no mark: it is no process of the sandbox
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &fd}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the keeper of the audit: %w", err)
	}
	p, err := held.Hold(cmd.Process.Pid, fd, h.keeperFile())
	if err == nil {
		if err = held.WriteJSON(h.keeperNote(), p.Identity); err == nil {
			err = d.homes.Keep(p)
		}
		if err == nil {
			return cmd.Process.Release()
		}
		p.Drop()
	} else if fd >= 0 {
		unix.Close(fd)
	}
	cmd.Process.Kill()
	cmd.Wait()
	return err
}

// keeper gives the keeper of a home, whoever has started it.
func (d *Driver) keeper(h home) (*held.Process, error) {
	var id held.Identity
	if err := held.ReadJSON(h.keeperNote(), &id); err != nil {
		return nil, err
	}
	return d.homes.Hold(id, h.keeperFile())
}

// guard ends a server whose keeper ends before anybody attends to it: what it starts would wait for an answer for ever.
func (d *Driver) guard(h home, l label, server *held.Process) (stop func()) {
	if !asks(l.Audit) {
		return func() {}
	}
	keeper, err := d.keeper(h)
	if err != nil { // it has ended already
		d.log.Warn("the keeper of the audit is not there", "id", l.ID, "err", err)
		server.Kill()
		return func() {}
	}
	var watching sync.WaitGroup
	served := make(chan struct{})
	watching.Go(func() {
		select {
		case <-keeper.Done():
			server.Kill()
		case <-served:
		}
	})
	return func() {
		close(served)
		watching.Wait()
	}
}

// auditConfig says what a keeper looks for.
func (d *Driver) auditConfig(l label, successor bool) ([]byte, error) {
	_, calls, err := filterFor(l.Audit)
	if err != nil {
		return nil, err
	}
	c := audit.Config{Descriptor: auditFD, Calls: calls.calls(), Rate: l.Audit.PerSecond(), Successor: successor}
	mappings := l.Mappings()
	if l.FirstID == 0 {
		mappings = homes.MapOne(d.user().ID, os.Geteuid())
	}
	for _, m := range mappings {
		c.IDs = append(c.IDs, audit.IDs{Inside: m.ContainerID, Outside: m.HostID, Size: m.Size})
	}
	return c.Encode()
}

// loadedPipe gives the pipe that ends when the first process has loaded its filter; nil if that asks nothing.
func loadedPipe(l label) (ours, theirs *os.File, err error) {
	if !asks(l.Audit) {
		return nil, nil, nil
	}
	return os.Pipe()
}
