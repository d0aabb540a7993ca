package stage

import (
	"errors"
	"fmt"
	"os"
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

// makeDevices fills a directory for devices, of which fd is the mount. The nodes are the host's, shown one by one: nobody in a user
// namespace can make one. Nobody can put more beside them.
func (root dir) makeDevices(devices string, fd int) error {
	for _, name := range deviceNodes {
		node, err := openTree(unix.AT_FDCWD, "/dev/"+name)
		if err == nil {
			err = unix.MountSetattr(node, "", unix.AT_EMPTY_PATH,
				&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE})
		}
		if err == nil {
			err = root.attach(node, path.Join(devices, name), true)
		}
		if node >= 0 {
			unix.Close(node)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	at, err := root.mkdir(devices)
	if err != nil {
		return err
	}
	defer unix.Close(int(at))
	for _, name := range []string{"pts", "shm"} {
		if err := unix.Mkdirat(int(at), name, 0o755); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, target := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := unix.Symlinkat(target, int(at), name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return sealFS(fd)
}

// sealFS makes a whole file system one that cannot be written to, by whatever mount of it; also one in a tree that is nowhere, of
// which the kernel changes the mounts only before they are put there.
func sealFS(mount int) error {
	fs, err := unix.Fspick(mount, "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("fspick", err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetFlag(fs, "ro"), unix.FsconfigReconfigure(fs)); err != nil {
		return fmt.Errorf("make it read-only: %w%s", err, complaint(fs))
	}
	return nil
}
