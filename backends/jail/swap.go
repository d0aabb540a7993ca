package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
)

// A swap gives a living jail other layers: its files so far stay as they are, under an empty layer that is written to from then
// on. Its programs are frozen, and what shows them its files is taken away and put back, which the kernel refuses while
// any of them uses it: an open file, a working directory, a program that runs from there. So nobody can have a way to the
// layers that must not change any more. Whoever is in the way goes on as before, and the snapshot is a copy.
//
// The label says that a swap is under way, until the snapshot is made. Where that is said and nobody is at it (the home is not locked),
// it was cut off: what is left of the jail is ended, and settle makes of its files what they were to become, or were. That the programs
// may have written to the new layer, an empty file in it says: to replace the label takes the disk some time, and they stand still.
type swap struct {
	Upper string `json:"upper"`          // that is to be written to
	Base  string `json:"base,omitempty"` // into which a home without layers moves its files; or the copy, which needs no swap
	Copy  bool   `json:"copy,omitempty"` // Base is that
	Root  bool   `json:"root,omitempty"` // what was written over the root is among the files
}

// errBusy says that a program is in the way.
var errBusy = errors.New("a program uses its files")

// parts are what of the files of a sandbox is its own, and where in the jail that is.
func (d *Driver) parts(l label) (names, targets []string) {
	names, targets = []string{partHome}, []string{d.user().Home}
	if !l.Named {
		names, targets = append(names, partWork), append(targets, workDir)
	}
	return names, targets
}

// over puts the upper layer over others; if there are none, over the base.
func (s swap) over(layers []string) []string {
	if len(layers) == 0 {
		return []string{s.Upper, s.Base}
	}
	return append([]string{s.Upper}, layers...)
}

// swapped is the label after the swap.
func swapped(l label) label {
	s := l.Pending
	if s.Root {
		l.Root = s.over(l.Root)
	}
	l.Layers = s.over(l.Layers)
	return l
}

// shownFile is the name of the file in a layer that says that programs have been shown it.
const shownFile = "shown"

// swap does it to a frozen jail, by what was laid ahead, and changes the label, which it leaves to the caller to write. errBusy leaves
// everything as it was; after any other error the jail is of no use.
func (d *Driver) swap(h home, l *label, p *held.Process, rooted bool, y *laying) error {
	_, targets := d.parts(*l)
	ns, err := os.Open(filepath.Join("/proc", strconv.Itoa(p.PID), "ns/mnt"))
	if err != nil {
		return err
	}
	defer ns.Close()
	if !p.Alive() { // else the namespace is its own
		return held.ErrEnded
	}
	if rooted {
		if behind, err := staysBehind(*l, p.PID); err != nil {
			return err
		} else if behind {
			return errBusy
		}
	}
	if err := within(ns, func() error { return withdraw(targets, rooted) }); err != nil {
		return err
	}
	if err := d.move(h, *l); err != nil {
		return err
	}
	if err := y.finish(); err != nil {
		return err
	}
	if err := d.show(ns, targets, p.PID, y); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.layers().Path(l.Pending.Upper), shownFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	*l = swapped(*l)
	return nil
}

// show puts what was laid into a jail whose files were taken away.
func (d *Driver) show(ns *os.File, targets []string, pid int, y *laying) (err error) {
	var paths []string
	if y.root != nil {
		if paths, err = mountsOn(pid); err != nil {
			return err
		}
	}
	return within(ns, func() error {
		if y.root != nil {
			if err := pivot(y.root, paths); err != nil {
				return err
			}
		}
		for i, f := range y.files {
			if err := unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, targets[i], unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
				return fmt.Errorf("%s: move_mount: %w", targets[i], err)
			}
		}
		return nil
	})
}

// within runs f in a mount namespace.
func within(ns *os.File, f func() error) error {
	return apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // the root and working directory are the thread's own from here on
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return f()
	})
}

// withdraw takes the mounts away and makes the root read-only, if that is rooted; all or, if somebody is in the way, none.
func withdraw(targets []string, rooted bool) error {
	if rooted {
		if err := sealRoot(true); err != nil {
			return err
		}
	}
	err := hide(targets)
	if err != nil && rooted {
		if back := sealRoot(false); back != nil {
			return back
		}
	}
	return err
}

// hide takes mounts away, all or, if somebody uses one, none.
func hide(targets []string) (err error) {
	var hidden []int // mounts of the same, to be put back
	defer func() {
		for i, fd := range hidden {
			if err != nil && fd >= 0 {
				back := unix.MoveMount(fd, "", unix.AT_FDCWD, targets[i], unix.MOVE_MOUNT_F_EMPTY_PATH)
				if back != nil {
					err = fmt.Errorf("%s cannot be put back: %w", targets[i], back)
				}
			}
			unix.Close(fd)
		}
	}()
	for i, target := range targets {
		fd := -1
		var err error
		if i < len(targets)-1 { // after the last nothing can be in the way, and to let go of a mount takes the kernel a while
			fd, err = unix.OpenTree(unix.AT_FDCWD, target, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		}
		if err == nil {
			if err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW); err == nil {
				hidden = append(hidden, fd)
				continue
			}
			unix.Close(fd)
		}
		if errors.Is(err, unix.EBUSY) {
			return errBusy
		}
		return fmt.Errorf("%w: %s: %w", errBusy, target, err) // a program has put it elsewhere
	}
	return nil
}

// moving are the files of a home without layers, by where they are meant to be in a layer.
func (d *Driver) moving(h home, l label) map[string]string {
	base, to := l.Pending.Base, map[string]string{}
	if base == "" {
		return nil
	}
	if names, _ := d.parts(l); len(l.Layers) == 0 {
		for _, name := range names {
			to[h.Path(name)] = filepath.Join(d.layerFiles(base), name)
		}
	}
	if l.Pending.Root && len(l.Root) == 0 {
		to[h.Path(partRoot)] = filepath.Join(d.layers().Path(base), partRoot)
	}
	return to
}

// move moves the files of a home without layers into the layer that is meant for them. It goes on where it was cut off.
func (d *Driver) move(h home, l label) error {
	for from, to := range d.moving(h, l) {
		if err := os.Rename(from, to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// settle ends a swap that was cut off, in a home whose server has ended.
func (d *Driver) settle(h home, l *label) error {
	s := l.Pending
	if s == nil {
		return nil
	}
	if !s.Copy && !slices.Contains(l.Layers, s.Upper) && (d.moved(h, *l) || d.shown(s.Upper)) {
		if err := d.move(h, *l); err != nil {
			return err
		}
		*l = swapped(*l)
	}
	l.Pending = nil
	return h.write(*l)
}

// moved says whether files of the home have been moved.
func (d *Driver) moved(h home, l label) bool {
	for _, to := range d.moving(h, l) {
		if _, err := os.Lstat(to); err == nil {
			return true
		}
	}
	return false
}

// shown says whether programs have been shown a layer.
func (d *Driver) shown(layer string) bool {
	_, err := os.Lstat(filepath.Join(d.layers().Path(layer), shownFile))
	return err == nil
}

// abandon ends a jail in which a swap was cut off, or has failed, under the home's lock. Frozen as it is, it runs nothing more.
func (d *Driver) abandon(ctx context.Context, l label, p *held.Process) error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, held.ErrEnded) {
		return err
	}
	if err := homes.Thaw(ctx, &l.Label); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
