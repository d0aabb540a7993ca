package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start calls start so that the process which it starts, with attr, is born in the group dir: nothing that it does
// comes before, and it is quick. To move a process that runs, the kernel waits until no processor is in the middle of
// a fork, which was measured at 7 to 19 ms; a birth costs 0.2 ms.
//
// start returns the number of the process. It may be called twice: where the group is full, or the kernel is too old,
// the process is started outside and moved, before Start returns but perhaps after it has begun. dir "" is no group.
func Start(dir string, attr *syscall.SysProcAttr, start func() (pid int, err error)) error {
	if dir == "" {
		_, err := start()
		return err
	}
	var err error
	if _, missing := os.Stat(filepath.Join(dir, "tasks")); errors.Is(missing, fs.ErrNotExist) {
		err = bornUnified(dir, attr, start)
	} else {
		err = bornThreaded(dir, start)
	}
	if !errors.Is(err, errElsewhere) {
		return err
	}
	pid, err := start()
	if err != nil {
		return err
	}
	return write(dir, "cgroup.procs", strconv.Itoa(pid))
}

// errElsewhere says that the process must be started outside of the group.
var errElsewhere = errors.New("not born here")

// bornUnified tells the kernel where the child is to be, as version 2 allows since Linux 5.7.
func bornUnified(dir string, attr *syscall.SysProcAttr, start func() (int, error)) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	attr.UseCgroupFD, attr.CgroupFD = true, int(f.Fd())
	_, err = start()
	attr.UseCgroupFD, attr.CgroupFD = false, 0
	for _, no := range []error{unix.EAGAIN, unix.ENOSYS, unix.E2BIG, unix.EINVAL, unix.EOPNOTSUPP} {
		if errors.Is(err, no) {
			return errElsewhere
		}
	}
	return err
}

// bornThreaded starts the child from a thread that is in the group, as version 1 allows: there each thread is in a
// group of its own, and a child is where the thread is that makes it. A thread may move itself without that wait.
func bornThreaded(dir string, start func() (int, error)) error {
	var err error
	onItsOwnThread(func() {
		if err = write(dir, "tasks", "0"); err != nil { // 0 is the thread that writes
			return
		}
		_, err = start()
		// The thread ends a little later; meanwhile it, and so this process, must not be found in the group.
		err = errors.Join(err, write(top(dir), "tasks", "0"))
	})
	if errors.Is(err, unix.EAGAIN) {
		return errElsewhere
	}
	return err
}

// top is the first group of the hierarchy of version 1 that dir is in.
func top(dir string) string {
	for {
		above := filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(above, "tasks")); err != nil {
			return dir
		}
		dir = above
	}
}

// onItsOwnThread runs f on a thread that nothing else uses, and which ends afterwards, so that what f does to it
// concerns nobody. The runtime never makes a thread from one that is locked.
func onItsOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: so the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			onItsOwnThread(f) // the first thread cannot end; while it is locked here, this gets another one
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}
