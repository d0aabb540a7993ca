package stage

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/audit"
)

// confine gives up every privilege, on all threads, for good, and checks that it is so.
//
// Were one thread forgotten, a program in the jail, which is of the same user, could write into the memory of process 1
// and so run with all the capabilities of the thread that still has them.
//
// The bounding set, of what a program can get when it is executed, is left: nothing can be got any more after
// no_new_privs, and to empty it takes forty calls that each stop all threads, 4 ms together.
func confine(filter []byte, audited int) error {
	// From here on nobody in the jail can look into this process, attach to it or open its descriptors: see ptrace(2).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, secureBits); err != nil {
		return fmt.Errorf("PR_SET_SECUREBITS: %w", err)
	}
	// With a filter it is enough that the thread which loads it has this: whom the filter reaches, this reaches (the kernel's
	// seccomp_sync_threads), and each call on all threads stops them all.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	noNewPrivs := func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
	if len(filter) == 0 {
		noNewPrivs = func() error { return onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1) }
	}
	if err := noNewPrivs(); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{} // with these the ambient set goes too
	err := onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none)))
	runtime.KeepAlive(header)
	runtime.KeepAlive(none)
	if err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if err := loadFilter(filter, audited); err != nil {
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
func onAllThreads(number, a, b uintptr) error {
	switch _, _, errno := syscall.AllThreadsSyscall(number, a, b, 0); errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.New("sandboxd is built with cgo, so its threads cannot give up their privileges: build it with CGO_ENABLED=0")
	default:
		return errno
	}
}

// loadFilter gives every thread, and so every process to come, the seccomp filter. One that asks about calls gets audited as the
// descriptor by which it is answered, which is kept for as long as the jail lives.
func loadFilter(filter []byte, audited int) error {
	if len(filter) == 0 {
		return nil
	}
	const instruction = 8 // bytes: struct sock_filter
	if len(filter)%instruction != 0 || len(filter)/instruction > 4096 {
		return fmt.Errorf("a seccomp filter of %d bytes cannot be: it has 1 to 4096 instructions of 8 bytes", len(filter))
	}
	if audited > 0 {
		return audit.Load(filter, audited)
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
	room := make([]byte, 8<<10) // four times what a status has
	for _, t := range threads {
		n, err := readAt("/proc/self/task/"+t.Name()+"/status", room)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		} else if err != nil {
			return fmt.Errorf("look at thread %s: %w", t.Name(), err)
		}
		if err := checkThread(string(room[:n]), filtered); err != nil {
			return fmt.Errorf("thread %s: %w", t.Name(), err)
		}
	}
	return nil
}

// readAt reads the beginning of a small file of /proc, which the kernel gives at once.
func readAt(path string, room []byte) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, room)
	return max(n, 0), err
}

func checkThread(status string, filtered bool) error {
	const none = "\t0000000000000000\n"
	want := []string{"\nCapInh:" + none, "\nCapPrm:" + none, "\nCapEff:" + none, "\nCapAmb:" + none, "\nNoNewPrivs:\t1\n"}
	if filtered {
		want = append(want, "\nSeccomp:\t2\n") // SECCOMP_MODE_FILTER
	}
	for _, line := range want {
		if !strings.Contains(status, line) {
			return fmt.Errorf("the kernel does not say %q after everything was given up", strings.TrimSpace(line))
		}
	}
	return nil
}
