package stage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// open gives the mount, which is nowhere yet; -1 if it is optional and its source is not there.
func (m Mount) open() (int, error) {
	fd := -1
	var err error
	switch {
	case m.Kind == Tmpfs:
		mode := m.Mode
		if mode == 0 {
			mode = 0o755
		}
		return newTmpfs(m.Size, m.Files, mode)
	case m.Kind == Devices:
		return newTmpfs(1<<20, 0, 0o755)
	case m.Kind == Terminals:
		return newMount("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "ptmxmode", "0666", "mode", "0620")
	case m.Kind == Proc:
		return newMount("proc", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	case m.Kind != "":
		return -1, errors.New("no such kind of mount")
	case m.FD > 0:
		fd = m.FD
	default:
		if fd, err = OpenTree(m.Source, m.NoLinks); m.Optional && errors.Is(err, unix.ENOENT) {
			return -1, nil
		}
	}
	if err != nil || m.Whole {
		return fd, err
	}
	// A copy of a mount that the host shares is its peer: what is mounted on either would come to be on both.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !m.Writable || m.Overlay {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	// Unlike MS_BIND|MS_REMOUNT this reaches the mounts below too, and leaves alone what an outer namespace has locked.
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mount_setattr: %w", err)
	}
	if m.Overlay {
		return m.overlay(fd)
	}
	return fd, nil
}

// OpenTree gives a mount of what is at a path of the host, which is nowhere yet, with all that is mounted below it. With
// noLinks a link on the way is ELOOP.
func OpenTree(path string, noLinks bool) (int, error) {
	if !noLinks {
		return openTree(unix.AT_FDCWD, path)
	}
	at, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	return unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
}

func openTree(at int, path string) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE)
	return unix.OpenTree(at, path, flags)
}

// overlay lays a tmpfs over lower, which it takes.
func (m Mount) overlay(lower int) (int, error) {
	defer unix.Close(lower)
	upper, err := newTmpfs(m.Size, m.Files, 0o755)
	if err != nil {
		return -1, err
	}
	defer unix.Close(upper)
	// The kernel takes no mount that is nowhere as a layer, so both are put somewhere for the moment.
	for _, fd := range []int{upper, lower} {
		if err := cover(fd); err != nil {
			return -1, err
		}
	}
	for _, d := range []string{"upper", "work"} {
		if err := unix.Mkdirat(upper, d, 0o755); err != nil {
			return -1, err
		}
	}
	path := func(fd int, below string) string { return filepath.Join("/proc/self/fd", strconv.Itoa(fd), below) }
	return newMount("overlay", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "lowerdir", path(lower, ""), "upperdir", path(upper, "upper"),
		"workdir", path(upper, "work"), "userxattr", "")
}

func newTmpfs(size, files int64, mode uint32) (int, error) {
	options := []string{"mode", strconv.FormatUint(uint64(mode), 8)}
	if size > 0 {
		options = append(options, "size", strconv.FormatInt(size, 10))
	}
	if files > 0 {
		options = append(options, "nr_inodes", strconv.FormatInt(files, 10))
	}
	return newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, options...)
}

// newMount makes a file system. Options are names and values in turn; one without a value is a flag.
func newMount(kind string, attributes int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for i := 0; i < len(options); i += 2 {
		if name, value := options[i], options[i+1]; value == "" {
			err = unix.FsconfigSetFlag(fs, name)
		} else {
			err = unix.FsconfigSetString(fs, name, value)
		}
		if err != nil {
			return -1, fmt.Errorf("%s: option %s: %w%s", kind, options[i], err, complaint(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("%s: %w%s", kind, err, complaint(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("fsmount %s: %w", kind, err)
	}
	return fd, nil
}

// complaint is what the kernel says of a file system that it does not make.
func complaint(fs int) string {
	b := make([]byte, 512)
	n, err := unix.Read(fs, b)
	if err != nil || n <= 2 {
		return ""
	}
	return " (" + string(b[2:n]) + ")" // after "e ", an error
}

// place puts the mount where it belongs.
func (m Mount) place(root dir, fd int) error {
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return err
	}
	if err := root.attach(fd, m.Target, info.Mode&unix.S_IFMT != unix.S_IFDIR); err != nil {
		return err
	}
	switch m.Kind {
	case Proc:
		return root.guardProc(m.Target)
	case Devices:
		return root.makeDevices(m.Target, fd)
	}
	return nil
}

func (root dir) attach(fd int, target string, file bool) error {
	point, err := root.point(target, file)
	if err != nil {
		return err
	}
	defer unix.Close(point)
	return unix.MoveMount(fd, "", point, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// again shows what is at a path of the jail at another one too.
func (root dir) again(p, target string) error {
	at, err := root.at(p)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	fd, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return root.attach(fd, target, false)
}
