package stage

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// Parts of /proc that reach the kernel of the host: by the first it is told what to do, the others tell of everybody. As far
// as a kernel has them. There are more, which are for the root of the machine alone, whom no jail has.
var (
	procReadOnly = []string{"sys", "sysrq-trigger", "irq", "bus", "fs"}
	procHidden   = []string{"kcore", "keys", "kallsyms", "timer_list", "sched_debug"}
)

// guardProc closes them.
func (root dir) guardProc(proc string) error {
	for _, name := range procReadOnly {
		if err := root.cover(path.Join(proc, name), ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range procHidden {
		if err := root.cover(path.Join(proc, name), "/dev/null"); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// cover puts a file of the host over a path, or what is there already if by is "", so that it can only be read. A path that
// is not there needs no cover.
func (root dir) cover(p, by string) error {
	at, err := root.at(p)
	if errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return err
	}
	defer unix.Close(at)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}
	var fd int
	if by == "" {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
		fd, err = unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	} else {
		fd, err = openTree(unix.AT_FDCWD, by)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// deviceNodes are those of the host that do no harm: what is written to them is gone, and what is read is nobody's.
var deviceNodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

// makeDevices fills a directory for devices. The nodes are the host's, shown one by one: nobody in a user namespace can make
// one. Terminals are the jail's own.
func (root dir) makeDevices(devices string, shm int64) error {
	for _, name := range deviceNodes {
		fd, err := openTree(unix.AT_FDCWD, "/dev/"+name)
		if err == nil {
			err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC})
		}
		if err == nil {
			err = root.attach(fd, path.Join(devices, name), true)
		}
		if fd >= 0 {
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	terminals, err := newMount("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "ptmxmode", "0666", "mode", "0620")
	if err != nil {
		return err
	}
	defer unix.Close(terminals)
	if err := root.attach(terminals, path.Join(devices, "pts"), false); err != nil {
		return fmt.Errorf("pts: %w", err)
	}
	memory, err := newTmpfs(shm, 0, 0o1777)
	if err != nil {
		return err
	}
	defer unix.Close(memory)
	if err := root.attach(memory, path.Join(devices, "shm"), false); err != nil {
		return fmt.Errorf("shm: %w", err)
	}
	at, err := root.mkdir(devices)
	if err != nil {
		return err
	}
	defer unix.Close(int(at))
	for name, target := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := unix.Symlinkat(target, int(at), name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
