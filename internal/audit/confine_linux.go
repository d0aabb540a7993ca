package audit

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// giveUp gives up all capabilities, on all threads, for good. What is left is what the kernel lets the user do who has made the
// sandbox's user namespace, and which it asks the user's number for: see user_namespaces(7).
func giveUp() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	_, _, first := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	_, _, second := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none)), 0)
	runtime.KeepAlive(header)
	runtime.KeepAlive(none)
	for _, errno := range []syscall.Errno{first, second} {
		switch errno {
		case 0:
		case syscall.ENOTSUP:
			return errors.New("sandboxd is built with cgo, so its threads cannot give up their privileges: build it with CGO_ENABLED=0")
		default:
			return os.NewSyscallError("give up privileges", errno)
		}
	}
	return nil
}

// flags are those with which a filter is loaded that asks: on all threads, or none; and once its question has been heard, only
// the end of the process interrupts it, so that nothing is told twice.
const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER |
	1<<5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, since Linux 5.19

// Load gives every thread of this process a filter that asks, as struct sock_filter one after the other, and makes number at
// the descriptor by which it is answered. What number was before is closed, which tells whoever waits for it.
func Load(filter []byte, number int) error {
	program := struct {
		length uint16
		first  *byte
	}{uint16(len(filter) / 8), &filter[0]}
	fd, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("seccomp, with a listener: %w", errno)
	}
	err := unix.Dup3(int(fd), number, unix.O_CLOEXEC)
	if err == nil {
		err = unix.Close(int(fd))
	}
	return err
}

// Available says whether the kernel has what auditing by a filter needs.
func Available() error {
	// With such flags and no filter the kernel looks at the flags first.
	_, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0)
	if errno != syscall.EFAULT {
		return fmt.Errorf("the kernel cannot ask a process before a system call in the way that is needed, which takes Linux 5.19: %w", errno)
	}
	return canTake()
}

// canTake says whether a descriptor of another process can be had here.
func canTake() error {
	const scope = "/proc/sys/kernel/yama/ptrace_scope"
	if b, err := os.ReadFile(scope); err == nil && strings.TrimSpace(string(b)) == "3" {
		return errors.New("no process may look into another, by " + scope)
	}
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(self)
	own, err := unix.PidfdGetfd(self, self, 0) // of itself it may, unless a filter denies it
	if err != nil {
		return fmt.Errorf("the descriptor by which the kernel asks cannot be taken: %w", os.NewSyscallError("pidfd_getfd", err))
	}
	return unix.Close(own)
}
