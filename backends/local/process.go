package local

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// identity names one process for good: its number is used again, its start is not, and the kernel gives each start of
// the machine a random name.
type identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since the machine started
	Boot  string `json:"boot"`
}

func identify(pid int) (identity, error) {
	p, err := reap.Stat(pid)
	return identity{PID: pid, Start: p.Start, Boot: boot()}, err
}

var boot = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, number and start have to do
	return string(bytes.TrimSpace(b))
})

// process holds a sandboxd by a pidfd, so that no signal can reach another and its end is an event, whoever is its
// parent. One goroutine waits for the end, in the runtime's poller.
type process struct {
	identity
	fd     *os.File
	ended  chan struct{} // closed when it has ended and exit is set
	letgo  chan struct{} // closed when the watching ended, with or without it
	exit   sandbox.Exit
	record string // file in which the parent notes how it ended, for everybody else
}

// open takes hold of a process that somebody started. errEnded if it has ended, or its number is another's now.
func open(id identity, record string) (*process, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || id.Boot != boot() {
		return nil, errEnded
	} else if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	// Only now: before, the number could have changed hands between the look and the grip.
	if now, err := identify(id.PID); err != nil || now != id || ended(fd) {
		unix.Close(fd)
		return nil, errEnded
	}
	return hold(id, fd, record), nil
}

// hold takes over a pidfd, which must be non-blocking.
func hold(id identity, fd int, record string) *process {
	return &process{
		identity: id, fd: os.NewFile(uintptr(fd), "pidfd"), record: record,
		ended: make(chan struct{}), letgo: make(chan struct{}),
	}
}

// watch waits for the end of the process, or for close. If it is a child, it notes how it ended and reaps it.
func (p *process) watch() {
	defer close(p.letgo)
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool { return ended(int(fd)) })
	}
	if err != nil {
		return // let go of
	}
	if exit, known := p.status(); known {
		// First noted, then reaped: whoever cannot ask the kernel any more finds the note.
		note{Identity: p.identity, Code: exit.Code, Signal: exit.Signal}.write(p.record)
		p.reap()
		p.exit = exit
	} else {
		p.exit = readNote(p.record, p.identity)
	}
	close(p.ended)
	p.fd.Close()
}

// alive says whether the process has not ended, even if nobody has noticed yet.
func (p *process) alive() bool {
	alive := false
	p.control(func(fd int) { alive = !ended(fd) })
	return alive
}

// signal sends sig. errEnded if the process has ended.
func (p *process) signal(sig syscall.Signal) error {
	var sent error
	if err := p.control(func(fd int) { sent = unix.PidfdSendSignal(fd, unix.Signal(sig), nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return errEnded
	}
	return os.NewSyscallError("pidfd_send_signal", sent)
}

// status is how a child ended that nobody has reaped; known is false for another's child.
func (p *process) status() (exit sandbox.Exit, known bool) {
	// In siginfo_t, si_status follows three ints, what the union's alignment takes, and the ints si_pid and si_uid.
	const word = unsafe.Sizeof(uintptr(0))
	const offset = (3*4+word-1)/word*word + 2*4
	var info unix.Siginfo
	var waited error
	err := p.control(func(fd int) {
		waited = unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil || waited != nil || info.Signo == 0 {
		return sandbox.Exit{}, false
	}
	value := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset)))
	const exited = 1 // CLD_EXITED; the other codes are killed and dumped
	if info.Code == exited {
		return sandbox.Exit{Code: value}, true
	}
	return sandbox.Exit{Code: -1, Signal: value}, true
}

func (p *process) reap() {
	p.control(func(fd int) { unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) })
}

// close lets go of the process, which goes on, and waits for the watching to end.
func (p *process) close() {
	p.fd.Close()
	<-p.letgo
}

func (p *process) control(f func(fd int)) error {
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		return errEnded // closed when it ended
	}
	return nil
}

// ended says whether the process behind a pidfd has ended, with all its threads, reaped or not.
func ended(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
