package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/reap"
)

// The root of a living jail cannot be taken away, since its programs are executed from there. It is made read-only, which the
// kernel refuses while a file of it is open for writing; then another root takes its place for all programs, by pivot_root(2), and
// what they have open of the old one, or mapped, they can go on reading. Whoever would be left behind in the old root, since one
// of its directories is open or somebody's working directory, is in the way.

// mostLooked is how many descriptors of a jail are looked at: who has more is in the way.
const mostLooked = 4096

// staysBehind says whether a program of a frozen jail has a directory of its root, but as its root or working directory.
func staysBehind(l label, pid int) (bool, error) {
	var root unix.Stat_t
	if err := unix.Stat(procPath(pid, "root"), &root); err != nil {
		return false, err
	}
	within := func(path string) (dir, top bool) {
		var s unix.Stat_t
		if unix.Stat(path, &s) != nil || s.Mode&unix.S_IFMT != unix.S_IFDIR || s.Dev != root.Dev {
			return false, false
		}
		return true, s.Ino == root.Ino
	}
	all, err := reap.InCgroup(homes.Group(&l.Label).Dir(cgroup.Freezer))()
	if err != nil {
		return false, err
	}
	looked := 0
	for _, p := range all {
		if dir, top := within(procPath(p.PID, "cwd")); dir && !top {
			return true, nil
		}
		fds, err := os.ReadDir(procPath(p.PID, "fd"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return false, err
		}
		if looked += len(fds); looked > mostLooked {
			return true, nil
		}
		for _, fd := range fds {
			if dir, _ := within(procPath(p.PID, "fd/"+fd.Name())); dir {
				return true, nil
			}
		}
	}
	return false, nil
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// sealRoot makes the root of this mount namespace one that cannot be written to, or can again. errBusy if somebody writes to it.
func sealRoot(sealed bool) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if !sealed {
		attr = unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	}
	err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr)
	if errors.Is(err, unix.EBUSY) {
		return errBusy
	}
	return os.NewSyscallError("mount_setattr", err)
}

// mountsOn gives where something is mounted on the root of a process; see proc_pid_mountinfo(5).
func mountsOn(pid int) (paths []string, err error) {
	b, err := os.ReadFile(procPath(pid, "mountinfo"))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	root := ""
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			root = f[0]
		}
	}
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 4 && f[1] == root && f[4] != "/" {
			paths = append(paths, unescape.Replace(f[4]))
		}
	}
	return paths, nil
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// pivot puts next in the place of the root of this mount namespace, for all its programs, with what is mounted at paths.
func pivot(next *os.File, paths []string) error {
	root := int(next.Fd())
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	for _, path := range paths {
		if err := carry(root, path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return os.NewSyscallError("umount", unix.Unmount(".", unix.MNT_DETACH))
}

// carry moves what is mounted at a path to the same one below root, to which no link leads.
func carry(root int, path string) error {
	from, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(from)
	to, err := unix.Openat2(root, strings.TrimPrefix(path, "/"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(to)
	if err := unix.MoveMount(from, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}
