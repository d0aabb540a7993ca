package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credentials looks at process 1: of each of its threads, since privileges belong to a thread.
var credentials = []probe{
	{"a thread of process 1 with capabilities", func(host) error { return threads("CapEff:", "0000000000000000") }},
	{"a thread of process 1 that may have capabilities", func(host) error { return threads("CapPrm:", "0000000000000000") }},
	{"a thread of process 1 without no_new_privs", func(host) error { return threads("NoNewPrivs:", "1") }},
	{"a thread of process 1 without seccomp", func(host) error { return threads("Seccomp:", "2") }},
	{"the memory of process 1, to read", func(host) error { return open("/proc/1/mem", os.O_RDONLY) }},
	{"the memory of process 1, to write", func(host) error { return open("/proc/1/mem", os.O_RDWR) }},
	{"the memory of its threads", func(host) error {
		all, _ := filepath.Glob("/proc/1/task/*/mem")
		return any(all, func(f string) error { return open(f, os.O_RDWR) })
	}},
	{"the environment of process 1", func(host) error {
		b, err := os.ReadFile("/proc/1/environ")
		if err == nil && len(b) == 0 {
			err = errNothing
		}
		return err
	}},
	{"the descriptors of process 1", func(host) error { _, err := os.ReadDir("/proc/1/fd"); return err }},
	{"the root of process 1", func(host) error { _, err := os.ReadDir("/proc/1/root/"); return err }},
	{"the program of process 1", func(host) error { return open("/proc/1/exe", os.O_RDONLY) }},
	{"ptrace of process 1", func(host) error { return unix.PtraceAttach(1) }},
	{"PTRACE_SEIZE of process 1", func(host) error { return unix.PtraceSeize(1) }},
	{"process_vm_readv of process 1", func(host) error {
		b := make([]byte, 8)
		_, err := unix.ProcessVMReadv(1, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
		return err
	}},
	{"process_vm_writev of process 1", func(host) error {
		b := make([]byte, 8)
		_, err := unix.ProcessVMWritev(1, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0xc000000000, Len: 8}}, 0)
		return err
	}},
	{"a descriptor of process 1 by pidfd_getfd", func(host) error {
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			return err
		}
		_, err = unix.PidfdGetfd(fd, 0, 0)
		return err
	}},
	{"privileges by a setuid program", setuid},
}

// threads fails if each thread's status has the value.
func threads(field, value string) error {
	tasks, err := filepath.Glob("/proc/1/task/*/status")
	if err != nil || len(tasks) == 0 {
		return nil // cannot be told, which is no better
	}
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if !strings.Contains(string(b), field+"\t"+value+"\n") {
			fmt.Fprintf(os.Stderr, "%s:\n%s\n", t, b)
			return nil
		}
	}
	return fmt.Errorf("%d threads, all with %s %s", len(tasks), field, value)
}

// setuid makes a program of its own that is to run as whoever owns it, and looks for those of others that do.
func setuid(host) error {
	path := filepath.Join(os.TempDir(), "setuid")
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, 0o6755)
	}
	defer os.Remove(path)
	var fs unix.Statfs_t
	if err := errors.Join(err, unix.Statfs(path, &fs)); err != nil {
		return err
	}
	if fs.Flags&unix.ST_NOSUID == 0 {
		return nil
	}
	if err := unix.Statfs("/usr", &fs); err != nil || fs.Flags&unix.ST_NOSUID == 0 {
		return err
	}
	return errors.New("setuid means nothing where files are")
}

// processes are those of others.
var processes = []probe{
	{"a signal to the controller", func(h host) error { return unix.Kill(h.Controller, unix.SIGCONT) }},
	{"a signal to a neighbour", func(h host) error {
		if h.Neighbour == 0 {
			return errNothing
		}
		return unix.Kill(h.Neighbour, unix.SIGCONT)
	}},
	{"SIGKILL to process 1", func(host) error {
		_ = unix.Kill(1, unix.SIGKILL)
		if _, err := os.ReadFile("/proc/1/stat"); err != nil {
			return nil
		}
		return errors.New("it lives on")
	}},
	{"ptrace of the controller", func(h host) error { return unix.PtraceAttach(h.Controller) }},
	{"the controller's memory", func(h host) error { return open(fmt.Sprintf("/proc/%d/mem", h.Controller), os.O_RDWR) }},
	{"the controller's environment", func(h host) error { return open(fmt.Sprintf("/proc/%d/environ", h.Controller), os.O_RDONLY) }},
	{"processes of others in /proc", func(host) error {
		all, err := filepath.Glob("/proc/[0-9]*")
		if err != nil || len(all) > 20 {
			return nil
		}
		return fmt.Errorf("%d processes, its own", len(all))
	}},
	{"another priority for processes of others", func(h host) error { return unix.Setpriority(unix.PRIO_PROCESS, h.Controller, 19) }},
	{"to be rather kept than others when memory ends", func(host) error {
		return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
	}},
	{"shared memory of others", func(host) error {
		b, err := os.ReadFile("/proc/sysvipc/shm")
		if err == nil && strings.Count(string(b), "\n") <= 1 {
			err = errNothing
		}
		return err
	}},
	{"another namespace by setns", func(h host) error {
		return any([]int{1, h.Controller}, func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Setns(fd, unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
		})
	}},
	{"a user namespace by unshare", func(host) error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"a mount namespace by unshare", func(host) error { return unix.Unshare(unix.CLONE_NEWNS) }},
	{"a network namespace by unshare", func(host) error { return unix.Unshare(unix.CLONE_NEWNET) }},
	{"a user namespace by clone", func(host) error { return clone(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0) }},
	{"a user namespace by clone3", func(host) error {
		args := [11]uint64{unix.CLONE_NEWUSER, 0, 0, 0, uint64(unix.SIGCHLD)}
		return clone(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
	}},
	{"its number mapped anew", func(host) error { return os.WriteFile("/proc/self/uid_map", []byte("0 0 1"), 0) }},
	{"to become root", func(host) error {
		if os.Getuid() == 0 {
			return errors.New("it has the number 0 already, and nothing by it")
		}
		return unix.Setuid(0)
	}},
	{"to join a group", func(host) error { return unix.Setgroups([]int{0}) }},
}

// clone makes a process that ends at once.
func clone(call, a, b uintptr) error {
	pid, _, errno := unix.RawSyscall(call, a, b, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	return nil
}
