package jail

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// open gives what a jail sees of the home and the workspace. Root opens them here and hands them down, since the jail's
// user may look into neither; an ordinary user's jail is the same user, and opens them itself.
func (d *Driver) open(h home, l label, program *os.File) (mounts []stage.Mount, files []*os.File, err error) {
	shown := []stage.Mount{
		{Source: h.stateDir(), Target: stateDir, Writable: true},
		{Source: h.homeDir(), Target: d.user().home, Writable: true},
		{Source: l.Workspace, Target: workDir, Writable: true},
	}
	if l.FirstID == 0 {
		return shown, nil, nil
	}
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	for i := range shown {
		f, err := openTree(shown[i].Source)
		if err != nil {
			return nil, files, err
		}
		files = append(files, f)
		shown[i].FD = mountFD + i
	}
	if l.Named {
		err = d.mapOwner(files[len(files)-1], l, program)
	}
	return shown, files, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// openTree gives a mount of a directory that is nowhere yet, with all that is mounted below it.
func openTree(dir string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// mapOwner shows the files of the workspace's owner as the jail's user's, and what the jail's user makes is the owner's on
// the host. Files of others are nobody's in the jail. Code: Unsupported.
func (d *Driver) mapOwner(tree *os.File, l label, program *os.File) error {
	var info unix.Stat_t
	if err := unix.Fstat(int(tree.Fd()), &info); err != nil {
		return &os.PathError{Op: "stat", Path: l.Workspace, Err: err}
	}
	inside := int(l.FirstID) + d.user().id
	ns, err := mapping(program, own(int(info.Uid), inside), own(int(info.Gid), inside))
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return coded{sandbox.Unsupported, fmt.Errorf("the file system of the workspace %s cannot show its files as another user's (%w): "+
			"take a workspace on ext4, xfs, btrfs or tmpfs, or start sandtree as the user that owns it", l.Workspace, err)}
	}
	return os.NewSyscallError("mount_setattr", err)
}

// mapping makes a user namespace for nothing but its mapping. There must be a process to make one; it is killed before it
// does anything.
func mapping(program *os.File, uids, gids []syscall.SysProcIDMap) (*os.File, error) {
	r, w, err := os.Pipe() // it would wait for its end
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd := exec.Command("/proc/self/fd/" + strconv.Itoa(stage.SpecFD+1))
	cmd.Args = []string{"sandboxd", "stage"}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{r, program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids, Setsid: true}
	err = cmd.Start()
	r.Close()
	if err != nil {
		return nil, fmt.Errorf("a user namespace: %w", err)
	}
	ns, err := os.Open(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "ns/user"))
	return ns, errors.Join(err, cmd.Process.Kill(), ignore(cmd.Wait()))
}

// ignore is for the end of what was killed.
func ignore(error) error { return nil }
