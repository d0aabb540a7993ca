package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setIDs are the bits of a mode by which a program runs as the file's owner or group.
const setIDs = unix.S_ISUID | unix.S_ISGID

// modes says which argument of a call is a mode: of those that every processor has.
var modes = map[uint32]uint32{unix.SYS_FCHMOD: 1, unix.SYS_FCHMODAT: 2, unix.SYS_FCHMODAT2: 2, unix.SYS_MKDIRAT: 2, unix.SYS_MKNODAT: 2, unix.SYS_OPENAT: 3}

// absent are calls by which a file could be made without a filter seeing its mode, which is in memory. What gVisor's process that opens
// files would use openat2 for (names of sockets and links), its kernel does itself, by descriptors, as long as it has directfs.
var absent = map[uint32]unix.Errno{
	unix.SYS_OPENAT2:        unix.ENOSYS, // by which libraries fall back on openat
	unix.SYS_IO_URING_SETUP: unix.EPERM, unix.SYS_IO_URING_ENTER: unix.EPERM, unix.SYS_IO_URING_REGISTER: unix.EPERM,
}

// Where in struct seccomp_data the number of a call, the processor's kind and the arguments are, in bytes. Of an argument the lower half
// comes first.
const numberAt, archAt, argumentsAt = 0, 4, 16

// setIDFilter is the filter. Numbers are those of this processor's own kind: of the others that it runs (32-bit programs, x32) there is
// no call, since theirs are other calls.
func setIDFilter() []unix.SockFilter {
	const load, equal, set, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	fail := func(e unix.Errno) unix.SockFilter {
		return unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
	}
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	filter := []unix.SockFilter{
		{Code: load, K: archAt}, {Code: equal, K: auditArch, Jt: 1}, fail(unix.ENOSYS),
		{Code: load, K: numberAt}, {Code: set, K: otherNumbers, Jf: 1}, fail(unix.ENOSYS),
	}
	for number, errno := range absent {
		filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 1}, fail(errno))
	}
	for _, calls := range []map[uint32]uint32{modes, olderModes} {
		for number, argument := range calls {
			filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 4},
				unix.SockFilter{Code: load, K: argumentsAt + 8*argument},
				unix.SockFilter{Code: set, K: setIDs, Jf: 1}, fail(unix.EPERM), allow)
		}
	}
	return append(filter, allow)
}

// forbidSetIDs keeps all that is started from here from making files on the machine by which a program would run as their
// owner: those in a workspace are its owner's, who may be root, and whoever starts one there runs what a stranger wrote.
// In gVisor such a mode means nothing. What gVisor does for a program that asks for it is refused, and so the program is.
func forbidSetIDs() error {
	filter := setIDFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// On all threads, of which those to come are children. This process has the right to do so without giving up others.
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	if thread != 0 {
		return fmt.Errorf("thread %d has another seccomp filter", thread)
	}
	return nil
}
