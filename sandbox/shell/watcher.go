package shell

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A watcher waits for any of some descriptors to be readable. It is itself one descriptor in the runtime's poller, so that
// waiting takes no thread, and what it does not watch just now wakes nobody: the runtime would be woken for everything that
// comes. Only one goroutine waits at a time.
type watcher struct {
	conn   syscall.RawConn
	events [3]unix.EpollEvent
	n      int // of events, after a wait
	look   func(fd uintptr) bool

	mu     sync.Mutex
	file   *os.File
	fd     int
	closed bool
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // which has the runtime poll it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &watcher{file: os.NewFile(uintptr(fd), "events"), fd: fd}
	w.look = func(fd uintptr) bool {
		n, err := unix.EpollWait(int(fd), w.events[:], 0)
		w.n = max(n, 0)
		return n > 0 || err != nil && err != unix.EINTR
	}
	w.conn, err = w.file.SyscallConn()
	return w, err
}

// add makes a descriptor known, to be watched or not.
func (w *watcher) add(fd int, on bool) error {
	return os.NewSyscallError("epoll_ctl", w.control(unix.EPOLL_CTL_ADD, fd, on))
}

// forget says that a descriptor is never to be watched again. One that is not watched may still be seen to be hung up.
func (w *watcher) forget(fd int) { _ = w.control(unix.EPOLL_CTL_DEL, fd, false) }

func (w *watcher) control(op, fd int, on bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return unix.EBADF
	}
	event := unix.EpollEvent{Fd: int32(fd)}
	if on {
		event.Events = unix.EPOLLIN
	}
	return unix.EpollCtl(w.fd, op, fd, &event)
}

// wait waits for so long, or for ever if atMost is negative. The error is os.ErrDeadlineExceeded, or that of a closed file.
func (w *watcher) wait(atMost time.Duration) error {
	var until time.Time
	if atMost >= 0 {
		until = time.Now().Add(max(atMost, time.Microsecond))
	}
	w.n = 0
	if err := w.file.SetReadDeadline(until); err != nil {
		return err
	}
	return w.conn.Read(w.look)
}

// ready says whether a descriptor was readable when wait returned.
func (w *watcher) ready(fd int) bool {
	for _, e := range w.events[:w.n] {
		if int(e.Fd) == fd {
			return true
		}
	}
	return false
}

// close ends a wait.
func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.file.Close()
	}
}
