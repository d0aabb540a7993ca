package stage

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine gives up every privilege, on all threads, for good, and checks that it is so.
//
// Were one thread forgotten, a program in the jail, which is of the same user, could write into the memory of process 1
// and so run with all the capabilities of the thread that still has them.
func confine(filter []byte) error {
	// From here on nobody in the jail can look into this process, attach to it or open its descriptors: see ptrace(2).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	if err := dropBounding(); err != nil {
		return err
	}
	for _, call := range []struct {
		what string
		args [4]uintptr
	}{
		{"PR_CAP_AMBIENT", [4]uintptr{unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0}},
		{"PR_SET_SECUREBITS", [4]uintptr{unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, secureBits, 0}},
		{"PR_SET_NO_NEW_PRIVS", [4]uintptr{unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0}},
	} {
		if err := onAllThreads(call.args); err != nil {
			return fmt.Errorf("%s: %w", call.what, err)
		}
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	err := onAllThreads([4]uintptr{unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none)), 0})
	runtime.KeepAlive(header)
	runtime.KeepAlive(none)
	if err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if err := loadFilter(filter); err != nil {
		return err
	}
	return check(len(filter) > 0)
}

// secureBits say that number 0 is a user as any other, even to a program that it executes, and that this stays so:
// SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_CAP_AMBIENT_RAISE and their locks, and SECBIT_KEEP_CAPS_LOCKED. See
// capabilities(7).
const secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7

// onAllThreads makes a system call on every thread. The runtime refuses in a program that is linked with C, of whose
// threads it does not know; and panics where a thread's result differs, which ends the process, as it should.
func onAllThreads(args [4]uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(args[0], args[1], args[2], args[3]); errno != 0 {
		if errno == syscall.ENOTSUP {
			return errors.New("sandboxd is built with cgo, so its threads cannot give up their privileges: build it with CGO_ENABLED=0")
		}
		return errno
	}
	return nil
}

// dropBounding empties the set of capabilities that a program could get when it is executed. Each call stops all threads
// for some microseconds; those that the kernel does not know end it.
func dropBounding() error {
	for c := uintptr(0); c < 64; c++ {
		switch has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); {
		case err != nil:
			return nil
		case has == 0:
			continue
		}
		if err := onAllThreads([4]uintptr{unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0}); err != nil {
			return fmt.Errorf("PR_CAPBSET_DROP %d: %w", c, err)
		}
	}
	return nil
}

// loadFilter gives every thread, and so every process to come, the seccomp filter.
func loadFilter(filter []byte) error {
	if len(filter) == 0 {
		return nil
	}
	const instruction = 8 // bytes: struct sock_filter
	if len(filter)%instruction != 0 || len(filter)/instruction > 4096 {
		return fmt.Errorf("a seccomp filter of %d bytes cannot be: it has 1 to 4096 instructions of 8 bytes", len(filter))
	}
	program := struct {
		length uint16
		first  *byte
	}{uint16(len(filter) / instruction), &filter[0]}
	// TSYNC: all threads or none; if one cannot follow, its number is the result.
	tid, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	switch {
	case errno != 0:
		return fmt.Errorf("seccomp: %w", errno)
	case tid != 0:
		return fmt.Errorf("seccomp: thread %d did not follow", tid)
	}
	return nil
}

// check reads from the kernel what every thread of this process has, and fails unless it is nothing.
func check(filtered bool) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("look at the threads: %w", err)
	}
	for _, t := range threads {
		status, err := os.ReadFile("/proc/self/task/" + t.Name() + "/status")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		} else if err != nil {
			return fmt.Errorf("look at thread %s: %w", t.Name(), err)
		}
		if err := checkThread(string(status), filtered); err != nil {
			return fmt.Errorf("thread %s: %w", t.Name(), err)
		}
	}
	return nil
}

func checkThread(status string, filtered bool) error {
	want := map[string]uint64{"NoNewPrivs": 1, "CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}
	if filtered {
		want["Seccomp"] = unix.SECCOMP_MODE_FILTER
	}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		expected, ok := want[name]
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil || n != expected {
			return fmt.Errorf("%s is %s after everything was given up", name, strings.TrimSpace(value))
		}
		delete(want, name)
	}
	if len(want) > 0 {
		return fmt.Errorf("the kernel does not tell %v", want)
	}
	return nil
}
