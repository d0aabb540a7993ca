package held

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
)

// ErrEnded says that the process has ended, or that its number is another's now.
var ErrEnded = errors.New("the process has ended")

// Identity names one process for good: its number is used again, its start is not, and the kernel gives each start of
// the machine a random name.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since the machine started
	Boot  string `json:"boot"`
}

// Identify gives the identity of the process that has the number now.
func Identify(pid int) (Identity, error) {
	p, err := reap.Stat(pid)
	return Identity{PID: pid, Start: p.Start, Boot: boot()}, err
}

var boot = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, number and start have to do
	return string(bytes.TrimSpace(b))
})

// Exit is how a process ended.
type Exit struct {
	Code   int  `json:"code"`   // -1 if a signal ended it
	Signal int  `json:"signal"` // 0 if none
	Memory bool `json:"memory"` // for want of memory
	Known  bool `json:"known"`  // else only the process that started it could have seen how, and has not noted it
}

// A Process is held by a pidfd, so that no signal can reach another and its end is an event, whoever is its parent. One
// goroutine waits for the end, in the runtime's poller: whoever makes a Process calls Watch there.
type Process struct {
	Identity
	// Starved, if not nil, says of a process that was killed whether that was for want of memory. It is asked by its
	// parent, before anybody knows that it has ended. Set it before Watch is called.
	Starved func() bool

	fd    *os.File
	ended chan struct{} // closed when it has ended and exit is set
	letgo chan struct{} // closed when the watching ended, with or without it
	exit  Exit

	mu     sync.Mutex
	record string // file in which the parent notes how it ended, for everybody else
}

// Open takes hold of a process that somebody started; record is the file in which its parent notes how it ended. ErrEnded.
func Open(id Identity, record string) (*Process, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || id.Boot != boot() {
		return nil, ErrEnded
	} else if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	// Only now: before, the number could have changed hands between the look and the grip.
	if now, err := Identify(id.PID); err != nil || now != id || ended(fd) {
		unix.Close(fd)
		return nil, ErrEnded
	}
	return hold(id, fd, record), nil
}

// Alive says whether the process has not ended.
func Alive(id Identity) bool {
	p, err := Open(id, "")
	if err != nil {
		return false
	}
	p.fd.Close()
	return true
}

// Hold takes over a child of this process and its pidfd. When it fails, the caller still has both.
func Hold(pid, fd int, record string) (*Process, error) {
	id, err := Identify(pid)
	if err == nil && fd < 0 {
		err = errors.New("the kernel gives no pidfd: Linux 5.3 is needed")
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, err
	}
	return hold(id, fd, record), nil
}

// hold takes over a pidfd, which must be non-blocking.
func hold(id Identity, fd int, record string) *Process {
	return &Process{
		Identity: id, fd: os.NewFile(uintptr(fd), "pidfd"), record: record,
		ended: make(chan struct{}), letgo: make(chan struct{}),
	}
}

// Watch waits for the end of the process, or for Close. If it is a child, it notes how it ended and reaps it.
func (p *Process) Watch() {
	defer close(p.letgo)
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool { return ended(int(fd)) })
	}
	if err != nil {
		return // let go of
	}
	if exit := p.status(); exit.Known {
		exit.Memory = exit.Signal == int(syscall.SIGKILL) && p.Starved != nil && p.Starved()
		// First noted, then reaped: whoever cannot ask the kernel any more finds the note. Where there is no directory for it
		// any more, nobody will look.
		_ = WriteJSON(p.recordFile(), note{p.Identity, exit})
		p.reap()
		p.exit = exit
	} else {
		p.exit = ReadExit(p.recordFile(), p.Identity)
	}
	close(p.ended)
	p.fd.Close()
}

// Record says in which file it is noted from now on how the process ended: it may be another one than when it began.
func (p *Process) Record(file string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = file
}

func (p *Process) recordFile() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record
}

// Alive says whether the process has not ended, even if nobody has noticed yet.
func (p *Process) Alive() bool {
	alive := false
	p.control(func(fd int) { alive = !ended(fd) })
	return alive
}

// Signal sends sig. ErrEnded if the process has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	var sent error
	if err := p.control(func(fd int) { sent = unix.PidfdSendSignal(fd, unix.Signal(sig), nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return ErrEnded
	}
	return os.NewSyscallError("pidfd_send_signal", sent)
}

// status is how a child ended that nobody has reaped; of another's child it is not known.
func (p *Process) status() Exit {
	// In siginfo_t, si_status follows three ints, what the union's alignment takes, and the ints si_pid and si_uid.
	const word = unsafe.Sizeof(uintptr(0))
	const offset = (3*4+word-1)/word*word + 2*4
	var info unix.Siginfo
	var waited error
	err := p.control(func(fd int) {
		waited = unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil || waited != nil || info.Signo == 0 {
		return Exit{Code: -1}
	}
	value := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset)))
	const exited = 1 // CLD_EXITED; the other codes are killed and dumped
	if info.Code == exited {
		return Exit{Code: value, Known: true}
	}
	return Exit{Code: -1, Signal: value, Known: true}
}

func (p *Process) reap() {
	p.control(func(fd int) { unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) })
}

// Drop closes the handle of a process that nobody has begun to watch.
func (p *Process) Drop() { p.fd.Close() }

// Close lets go of the process, which goes on, and waits for the watching to end.
func (p *Process) Close() {
	p.fd.Close()
	<-p.letgo
}

func (p *Process) control(f func(fd int)) error {
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		return ErrEnded // closed when it ended
	}
	return nil
}

// Done is closed when the watching has ended: because the process has, or because it was let go of, which Ended tells.
func (p *Process) Done() <-chan struct{} { return p.letgo }

// Ended gives how the process ended, after Done; false if it was let go of.
func (p *Process) Ended() (Exit, bool) {
	<-p.letgo
	select {
	case <-p.ended:
		return p.exit, true
	default:
		return Exit{Code: -1}, false
	}
}

// note is how a process ended.
type note struct {
	Identity Identity `json:"server"`
	Exit     Exit     `json:"exit"`
}

// ReadExit is how the process ended, as far as its parent has noted it in the file.
func ReadExit(file string, id Identity) Exit {
	var n note
	if err := ReadJSON(file, &n); err != nil || n.Identity != id {
		return Exit{Code: -1}
	}
	return n.Exit
}

// Kill ends the process by force and waits for that. It must be watched.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.letgo
}

// Ended says whether the process behind a pidfd has ended, with all its threads, reaped or not.
func Ended(fd int) bool { return ended(fd) }

func ended(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
