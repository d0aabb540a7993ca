package held

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Within runs f on a thread that sees the mounts of the process and nothing of those of this one: its root is that process', and
// paths are looked up there. Only root may; the thread ends with f. Descriptors are this process' as ever. See setns(2).
func (p *Process) Within(f func() error) error {
	var err error
	if e := p.control(func(fd int) { err = within(fd, f) }); e != nil {
		return e
	}
	if errors.Is(err, unix.ESRCH) {
		return ErrEnded
	}
	return err
}

func within(pidfd int, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: so the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			result <- within(pidfd, f) // the first thread cannot end; while it is locked here, this gets another one
			return
		}
		// The threads of a process share where they are until one of them leaves that.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			result <- os.NewSyscallError("unshare", err)
			return
		}
		if err := unix.Setns(pidfd, unix.CLONE_NEWNS); err != nil {
			result <- os.NewSyscallError("setns", err)
			return
		}
		result <- f()
	}()
	return <-result
}
