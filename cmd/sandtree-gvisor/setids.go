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

// forbidSetIDs keeps all that is started from here from making files on the machine by which a program would run as their
// owner: those in a workspace are its owner's, who may be root, and whoever starts one there runs what a stranger wrote.
// In gVisor such a mode means nothing. What gVisor does for a program that asks for it is refused, and so the program is.
func forbidSetIDs() error {
	const load, equal, set, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const numberAt, argumentsAt = 0, 16 // in struct seccomp_data; of an argument the lower half comes first
	filter := []unix.SockFilter{{Code: load, K: numberAt}}
	for _, calls := range []map[uint32]uint32{modes, olderModes} {
		for number, argument := range calls {
			filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 4},
				unix.SockFilter{Code: load, K: argumentsAt + 8*argument},
				unix.SockFilter{Code: set, K: setIDs, Jf: 1},
				unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
				unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
		}
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
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
