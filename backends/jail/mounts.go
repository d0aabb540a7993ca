package jail

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// shows gives what a jail sees of the home and the workspace.
func (d *Driver) shows(h home, l label) []stage.Mount {
	work := stage.Mount{Source: cmp.Or(l.Resolved, l.Workspace), NoLinks: l.Resolved != "", Target: workDir, Writable: true}
	if !l.Imaged {
		return []stage.Mount{
			{Source: h.stateDir(), Target: stateDir, Writable: true},
			{Source: h.HomeDir(), Target: d.user().Home, Writable: true},
			work,
		}
	}
	if !l.Named {
		work = stage.Mount{Within: diskDir + "/workspace", Target: workDir}
	}
	return []stage.Mount{
		{Source: h.imageFile(), Target: diskDir, Writable: true},
		{Within: diskDir + "/state", Target: stateDir},
		{Within: diskDir + "/home", Target: d.user().Home},
		work,
	}
}

// open gives the root, if it is not the host's, and what a jail shows. Root opens them here and hands them down, since the
// jail's user may look into none of them; an ordinary user's jail is the same user, and opens them itself.
func (d *Driver) open(h home, l label, program *os.File) (o opened, err error) {
	o.mounts = d.shows(h, l)
	if d.config.Root != "" {
		o.root = &stage.Mount{Source: d.config.Root, Writable: d.config.Overlay, Size: homes.Memory(l.Limits) / 2}
	}
	if l.FirstID == 0 {
		return o, unmoved(l)
	}
	defer func() {
		if err != nil {
			closeAll(o.files)
		}
	}()
	layered, err := d.openLayers(l)
	if err != nil {
		return o, err
	}
	for i, m := range o.mounts {
		if m.Within != "" {
			continue
		}
		f := layered[m.Target]
		if f != nil {
			// it is one of those
		} else if m.Source == h.imageFile() {
			f, err = d.mountImage(h, l)
		} else {
			f, err = openTree(m.Source, m.NoLinks)
		}
		if err != nil {
			return o, err
		}
		o.mounts[i].FD = o.keep(f)
		if l.Named && m.Target == workDir {
			if err = d.mapOwner(f, l, program); err != nil {
				return o, err
			}
		}
	}
	err = d.openRoot(&o, l, program)
	return o, err
}

// openRoot opens the root that is not the host's. Whom its files belong to there, they belong to in the jail.
func (d *Driver) openRoot(o *opened, l label, program *os.File) error {
	if o.root == nil {
		return nil
	}
	f, err := openTree(d.config.Root, false)
	if err != nil {
		return err
	}
	o.root.FD = o.keep(f)
	return mapTree(f, d.config.Root, l.Mappings(), l.Mappings(), program)
}

// opened is what is handed down to a stage.
type opened struct {
	root   *stage.Mount
	mounts []stage.Mount
	files  []*os.File // from descriptor mountFD on
}

// keep takes a file over, and gives the number that it has in the first process of the jail.
func (o *opened) keep(f *os.File) int {
	o.files = append(o.files, f)
	return mountFD + len(o.files) - 1
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// openTree gives a mount of a directory that is nowhere yet, with all that is mounted below it. With noLinks a link on the way
// to it is Denied.
func openTree(dir string, noLinks bool) (*os.File, error) {
	fd, err := stage.OpenTree(dir, noLinks)
	if noLinks && errors.Is(err, unix.ELOOP) {
		return nil, leadsAway(dir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	tree := os.NewFile(uintptr(fd), dir)
	// Where the host shares its mounts, as systemd has them, this would be a peer of that one, and what the jail mounts on it
	// would come to be on the host.
	private := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &private); err != nil {
		tree.Close()
		return nil, &os.PathError{Op: "mount_setattr", Path: dir, Err: err}
	}
	return tree, nil
}

// unmoved is Denied where a link is on the way to a named workspace now. The stage looks by itself; this says it in words.
func unmoved(l label) error {
	if l.Resolved == "" {
		return nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, l.Resolved, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ELOOP) {
		return leadsAway(l.Resolved)
	}
	if err == nil {
		unix.Close(fd)
	}
	return nil // what else is wrong, the stage says
}

func leadsAway(dir string) error {
	return homes.Coded(sandbox.Denied, fmt.Errorf("on the way to %s, where the workspace was when the sandbox was new, is a link now, "+
		"which may lead anywhere: put the directory back, or remove the sandbox and start another", dir))
}

// mapOwner shows the files of the workspace's owner as the jail's user's, and what the jail's user makes is the owner's on
// the host. Files of others are nobody's in the jail. Code: Unsupported.
func (d *Driver) mapOwner(tree *os.File, l label, program *os.File) error {
	var info unix.Stat_t
	if err := unix.Fstat(int(tree.Fd()), &info); err != nil {
		return &os.PathError{Op: "stat", Path: l.Workspace, Err: err}
	}
	inside := int(l.FirstID) + d.user().ID
	return mapTree(tree, l.Workspace, homes.MapOne(int(info.Uid), inside), homes.MapOne(int(info.Gid), inside), program)
}

// mapTree shows the files of a tree as those of others. Code: Unsupported.
func mapTree(tree *os.File, dir string, uids, gids []syscall.SysProcIDMap, program *os.File) error {
	ns, err := mapping(program, uids, gids)
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("the file system of %s cannot show its files as another user's (%w): "+
			"take a directory on ext4, xfs, btrfs or tmpfs, or start sandtree as the user that owns it", dir, err))
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
