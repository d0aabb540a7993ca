package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// devices are nodes that lead to hardware, or to parts of the kernel that belong to the machine.
var devices = []probe{
	{"a node for the memory", func(host) error { return node(unix.S_IFCHR, 1, 1) }},
	{"a node for a disk", func(host) error { return node(unix.S_IFBLK, 254, 0) }},
	{"a node for nothing", func(host) error { return node(unix.S_IFCHR, 1, 3) }}, // /dev/null: harmless, and a node all the same
	{"devices of the machine", func(host) error {
		return any([]string{"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/dm-0", "/dev/loop0", "/dev/loop-control", "/dev/kvm", "/dev/fuse",
			"/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock", "/dev/vsock", "/dev/uinput", "/dev/input/event0", "/dev/ttyS0", "/dev/tty0", "/dev/hpet"},
			func(f string) error { return open(f, os.O_RDWR|unix.O_NONBLOCK) })
	}},
	{"a terminal that is not its own", func(host) error {
		return any([]string{"/dev/console", "/dev/tty1"}, func(f string) error { return open(f, os.O_WRONLY|unix.O_NONBLOCK) })
	}},
	{"to type on a terminal", func(host) error { return ioctl(unix.TIOCSTI) }},
	{"the same with more bits", func(host) error { return ioctl(unix.TIOCSTI | 1<<32) }},
}

func node(kind uint32, major, minor uint32) error {
	const path = "node"
	defer os.Remove(path)
	if err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return err
	}
	return open(path, os.O_RDWR|unix.O_NONBLOCK)
}

// ioctl asks it of a fresh terminal, so that the kernel has no other reason to refuse than that it is not allowed.
func ioctl(request uintptr) error {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c := byte('x')
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&c))); errno != unix.EPERM {
		return nil
	}
	return unix.EPERM
}

// calls that a prisoner has no business with. Each is made so that the kernel would refuse it for another reason, were it
// reached: only EPERM and ENOSYS count as stopped at the door.
var kernel = []probe{
	call("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, 0),
	call("io_uring_enter", unix.SYS_IO_URING_ENTER, ^uintptr(0)),
	call("io_uring_register", unix.SYS_IO_URING_REGISTER, ^uintptr(0)),
	call("bpf", unix.SYS_BPF, 0, 0, 0),
	call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, 0, 0, 0),
	call("keyctl", unix.SYS_KEYCTL, ^uintptr(0)),
	call("add_key", unix.SYS_ADD_KEY, 0),
	call("request_key", unix.SYS_REQUEST_KEY, 0),
	call("userfaultfd", unix.SYS_USERFAULTFD, ^uintptr(0)),
	call("init_module", unix.SYS_INIT_MODULE, 0, 0, 0),
	call("finit_module", unix.SYS_FINIT_MODULE, ^uintptr(0), 0, 0),
	call("delete_module", unix.SYS_DELETE_MODULE, 0, 0),
	call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 1<<20, 0, ^uintptr(0)),
	call("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, ^uintptr(0), 0, 0, 0, ^uintptr(0)),
	call("reboot", unix.SYS_REBOOT, 0, 0, 0),
	call("swapon", unix.SYS_SWAPON, 0, 0),
	call("acct", unix.SYS_ACCT, 1),
	call("quotactl", unix.SYS_QUOTACTL, ^uintptr(0), 0, 0, 0),
	call("settimeofday", unix.SYS_SETTIMEOFDAY, 1, 0),
	call("clock_settime", unix.SYS_CLOCK_SETTIME, ^uintptr(0), 0),
	call("syslog", unix.SYS_SYSLOG, 3, 0, ^uintptr(0)),
	call("fanotify_init", unix.SYS_FANOTIFY_INIT, ^uintptr(0), 0),
	call("move_pages", unix.SYS_MOVE_PAGES, 1, 0, 0, 0, 0, 0),
	call("mbind", unix.SYS_MBIND, 1),
	call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(0), 0, 0),
	call("vhangup", unix.SYS_VHANGUP),
	call("personality with READ_IMPLIES_EXEC", unix.SYS_PERSONALITY, 0x0400000),
}

func call(name string, number uintptr, args ...uintptr) probe {
	var a [6]uintptr
	copy(a[:], args)
	return probe{"system call " + name, func(host) error {
		_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == unix.EPERM || errno == unix.ENOSYS {
			return errno
		}
		fmt.Fprintf(os.Stderr, "%s: the kernel was reached: %v\n", name, errno)
		return nil
	}}
}
