package shell

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reads and writes of descriptors that never wait, pipes and sockets, without telling the runtime: it would prepare for a
// wait, and under load, where a call may be off its core for a while, give what else could run to another thread.

func readNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func writeNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
