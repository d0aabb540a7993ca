package audit

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of the kernel's uapi/linux/seccomp.h. Which bits stand for reading and writing, processors differ in; the two that we know agree.
const (
	ioctlReceive  = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	ioctlIsValid  = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, since Linux 6.6

	goOn     = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
	syncWake = 1 // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
)

// notice is struct seccomp_notif: a call that waits for an answer.
type notice struct {
	ID          uint64
	PID         uint32 // of the thread, as the keeper sees it
	Flags       uint32
	Number      int32
	Arch        uint32
	Instruction uint64
	Args        [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	ID    uint64
	Value int64
	Error int32
	Flags uint32
}

// listener is the descriptor of a filter that asks.
type listener int

func (l listener) ioctl(request uintptr, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l), request, uintptr(p)); errno != 0 {
		return errno
	}
	return nil
}

// takeTurns has a caller and the keeper take turns on one processor. An older kernel does without.
func (l listener) takeTurns() {
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(l), ioctlSetFlags, syncWake)
}

// receive fills n with the next call. The kernel does so in one step with taking the call out of its list, so that n, which is
// in a file's memory, tells of it whenever the keeper ends.
func (l listener) receive(n *notice) error {
	*n = notice{} // the kernel insists
	return l.ioctl(ioctlReceive, unsafe.Pointer(n))
}

// valid says whether the call still waits: if it does, so does its thread, and what was read of that was its own.
func (l listener) valid(id uint64) bool { return l.ioctl(ioctlIsValid, unsafe.Pointer(&id)) == nil }

// answer lets a call go on, or fail with errno. A caller that has been killed meanwhile is no error.
func (l listener) answer(id uint64, errno int) error {
	a := answer{ID: id, Error: -int32(errno)}
	if errno == 0 {
		a.Flags = goOn
	}
	err := l.ioctl(ioctlSend, unsafe.Pointer(&a))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// wait returns when a call waits, or says that none will any more: the filter's last process has ended, or the sandbox's first.
func (l listener) wait(server int) (more bool, err error) {
	p := []unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}, {Fd: int32(server), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(p, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, err
		case p[0].Revents&unix.POLLIN != 0:
			return true, nil
		}
		return false, nil
	}
}
