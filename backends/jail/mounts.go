package jail

import (
	"cmp"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/stage"
)

// shows gives what a jail sees of the home and the workspace.
func (d *Driver) shows(h home, l label) []stage.Mount {
	work := stage.Mount{Source: cmp.Or(l.Resolved, l.Workspace), NoLinks: l.Resolved != "", Target: workDir, Writable: true}
	if !l.Imaged || len(l.Layers) > 0 { // of layers in an image the jail sees what they show, and not the layers
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
	layered, err := d.openLayers(h, l)
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
			f, err = homes.OpenTree(m.Source, m.NoLinks)
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
	err = d.openRoot(&o, h, l, program)
	return o, err
}

// openTree gives what is the same in all jails, or leaves it to the stage.
func (d *Driver) openTree(o *opened) {
	spec := &stage.Spec{}
	d.same(spec)
	f, err := d.prepared.copy(spec, d.points())
	if err != nil { // a stage meets the same, and says so
		d.log.Debug("each jail is put together by itself", "err", err)
	} else if f != nil {
		o.root = &stage.Mount{FD: o.keep(f), Whole: true}
	}
}

// openRoot opens the root.
func (d *Driver) openRoot(o *opened, h home, l label, program *os.File) error {
	if o.root == nil {
		d.openTree(o)
		return nil
	}
	f, err := d.openBase(l, program)
	if err != nil {
		return err
	}
	if d.rooted(l) {
		defer f.Close()
		if f, err = d.mountRoot(h, l, f); err != nil {
			return err
		}
		o.root.Ready = true
	}
	o.root.FD = o.keep(f)
	return nil
}

// opened is what is handed down to a stage.
type opened struct {
	root   *stage.Mount
	mounts []stage.Mount
	files  []*os.File
}

// keep takes a file over, and gives its place among those that come with the Spec.
func (o *opened) keep(f *os.File) int {
	o.files = append(o.files, f)
	return len(o.files)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// unmoved is Denied where a link is on the way to a named workspace now. The stage looks by itself; this says it in words.
func unmoved(l label) error {
	if l.Resolved == "" {
		return nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, l.Resolved, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ELOOP) {
		return homes.LeadsAway(l.Resolved)
	}
	if err == nil {
		unix.Close(fd)
	}
	return nil // what else is wrong, the stage says
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

// mapTree shows the files of a tree as those of others, with the server's program. Code: Unsupported.
func mapTree(tree *os.File, dir string, uids, gids []syscall.SysProcIDMap, program *os.File) error {
	return homes.MapTree(tree, dir, uids, gids, homes.Server{File: program}, "start sandtree as the user that owns it")
}
