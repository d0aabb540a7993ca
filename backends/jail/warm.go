package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// A blank is a jail that waits to be told whose it is: it has its namespaces, root, filter, control group and user numbers, its
// server and a shell that has read nothing, and no id, key, owner, policy or way out. It is made by the same code as any jail,
// up to the point where its server reads what its programs' environment is. Its home has a name that no id has and becomes
// that of the sandbox in one step. The lock of the home says that its maker lives: one that is not locked is nobody's, and
// whoever opens the state directory or lists what there is clears it away.
type blank struct {
	d      *Driver
	home   home
	unlock func()
	label  label
	shape  string
	s      *spawned
	used   atomic.Bool
}

var _ backends.Warmer = (*Driver)(nil)

// blankPrefix begins the names of their homes; no id begins with a dot. What follows is their mark.
const blankPrefix = ".blank-"

// Shape names what of a spec is built into a jail: its memory, by which the size of its file systems goes, how many processes it
// may have, its processors, its disk; and where a limit has a default, whether it is lifted. Not to be had is one whose programs
// are told of, that begins with a snapshot, whose disks are slowed down, or, for an ordinary user, that has a named workspace, since it takes root to mount
// something in the jail of another process.
func (d *Driver) Shape(spec sandbox.Spec) (shape string, ok bool) {
	switch {
	case spec.From != "", !spec.Audit.Equal(sandbox.Audit{}), spec.Workspace != "" && os.Geteuid() != 0, spec.Limits.DiskRead > 0, spec.Limits.DiskWrite > 0:
		return "", false
	}
	l := d.built(spec.Limits)
	if l == d.built(sandbox.Limits{}) {
		return "", true
	}
	return fmt.Sprintf("memory=%d swap=%v processes=%d cpu=%v affinity=%s disk=%d files=%d", l.Memory, l.Swap == 0, l.Processes, l.CPU == 0,
		l.Affinity, l.Disk, l.Files), true
}

// built are the limits that a jail is built with for one with the limits l; the others can be set later.
func (d *Driver) built(l sandbox.Limits) sandbox.Limits {
	b := sandbox.Limits{Memory: homes.Memory(l), Swap: min(l.Swap, 0), Processes: homes.Processes(l), CPU: min(l.CPU, 0), Affinity: l.Affinity}
	if d.imaged(l) {
		b.Disk, b.Files = d.diskSize(l), l.Files
	}
	return b
}

// Warm makes a jail for specs of that shape. It returns when it waits.
func (d *Driver) Warm(ctx context.Context, spec sandbox.Spec) (backends.Blank, error) {
	b, err := d.warm(ctx, spec)
	if err != nil {
		return nil, homes.Failed("jail.Warm", "", err)
	}
	return b, nil
}

func (d *Driver) warm(ctx context.Context, spec sandbox.Spec) (_ *blank, err error) {
	shape, ok := d.Shape(spec)
	if !ok {
		return nil, homes.Coded(sandbox.Unsupported, errors.New("a sandbox of this kind is not started before it is asked for"))
	}
	program, err := d.sandboxd()
	if err == nil {
		err = d.suffices()
	}
	if err != nil {
		return nil, err
	}
	mark := newMark()
	b := &blank{d: d, home: d.home(sandbox.ID(blankPrefix + mark)), shape: shape}
	if b.unlock, err = d.homes.LockHome(ctx, b.home.Home, true); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop(context.WithoutCancel(ctx), 0))
		}
	}()
	like := spec.Limits
	like.CPU, like.Swap, like.CPUShares, like.Swappiness = min(like.CPU, 0), min(like.Swap, 0), 0, 0
	b.label = d.renewed(b.home, label{}, sandbox.Spec{ID: sandbox.ID(blankPrefix + mark), Limits: like})
	b.label.Mark = mark
	if err := d.homes.Claim(&b.label.Label); err != nil {
		return nil, err
	}
	if b.s, err = d.spawn(b.home, b.label, program, append(d.arguments(spec), "--announce")); err != nil { // nobody is told the key yet
		return nil, err
	}
	defer b.s.ours().Within(ctx)()
	if err := b.s.listen(ctx, b.s.tell()); err != nil {
		return nil, fmt.Errorf("%w%s", err, homes.LastWords(b.home.LogFile()))
	}
	return b, nil
}

func newMark() string { return sandbox.RandomHex(12) }

// Alive says whether it waits.
func (b *blank) Alive() bool { return !b.used.Load() && b.s.process.Alive() }

// Stop ends the blank and leaves nothing of it, unless it has been adopted.
func (b *blank) Stop(ctx context.Context, _ time.Duration) error {
	if !b.used.CompareAndSwap(false, true) {
		return nil
	}
	return b.discard(ctx)
}

// discard ends a blank that is no sandbox.
func (b *blank) discard(ctx context.Context) error {
	defer b.unlock()
	if b.s != nil {
		b.s.close() // by which it ends, also where the driver does not hold it any more
		if b.s.process != nil {
			b.s.process.Kill()
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	if err := b.d.homes.Clear(ctx, b.home.Home, &b.label); err != nil {
		return homes.Failed("jail.Stop", "", err)
	}
	return nil
}

// Adopt makes the blank the sandbox of spec. Where it cannot be, because it has ended or there is such a sandbox already, it is
// ended, and the sandbox is started as any.
func (b *blank) Adopt(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	d := b.d
	if err := d.homes.Admits(spec); err != nil {
		return nil, errors.Join(err, b.Stop(ctx, 0))
	}
	if !b.fits(spec) {
		if err := b.Stop(ctx, 0); err != nil {
			d.log.Warn("what is left of a warm sandbox cannot be removed", "err", err)
		}
		return d.Start(ctx, spec)
	}
	l, err := b.become(spec)
	if err != nil {
		err = errors.Join(err, b.discard(ctx))
		if errors.Is(err, unix.EEXIST) { // another has begun to start it
			return d.Start(ctx, spec)
		}
		return nil, homes.Failed("jail.Start", spec.ID, err)
	}
	defer b.unlock()
	inst, err := d.hand(ctx, d.home(spec.ID), l, spec, b.s, true)
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
		defer cancel()
		return nil, homes.Failed("jail.Start", spec.ID, errors.Join(err, d.homes.Clear(cleanup, d.home(spec.ID).Home, &l)))
	}
	return d.instance(inst), nil
}

// fits takes the blank if it can be the sandbox of spec.
func (b *blank) fits(spec sandbox.Spec) bool {
	shape, ok := b.d.Shape(spec)
	if !ok || shape != b.shape || !b.Alive() {
		return false
	}
	if _, err := os.Lstat(string(b.d.home(spec.ID).Home)); err == nil {
		return false
	}
	return b.used.CompareAndSwap(false, true)
}

// become makes the home that of the sandbox, which exists from then on. Its server has been told nothing: should we die, it ends,
// and the next process finds a sandbox whose server is dead.
func (b *blank) become(spec sandbox.Spec) (label, error) {
	d, h := b.d, b.d.home(spec.ID)
	l := d.renewed(h, label{}, spec)
	l.Mark, l.FirstID = b.label.Mark, b.label.FirstID
	if err := d.homes.Resolve(&l.Label); err != nil {
		return l, err
	}
	if bounds := homes.Bounds(l.Limits); !reflect.DeepEqual(bounds, homes.Bounds(b.label.Limits)) {
		if err := homes.Group(&l.Label).Make(bounds); err != nil {
			return l, err
		}
	}
	if l.Named {
		if err := b.showWork(l); err != nil {
			return l, err
		}
	}
	if err := b.home.write(l); err != nil {
		return l, err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, string(b.home.Home), unix.AT_FDCWD, string(h.Home), unix.RENAME_NOREPLACE); err != nil {
		return l, &os.LinkError{Op: "rename", Old: string(b.home.Home), New: string(h.Home), Err: err}
	}
	b.s.process.Record(h.ExitFile())
	return l, nil
}

// showWork puts a named workspace where the blank's own is. Nothing has run in the jail yet, so the path leads nowhere else.
func (b *blank) showWork(l label) error {
	program, err := b.d.sandboxd()
	if err != nil {
		return err
	}
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	tree, err := homes.OpenTree(l.Resolved, true)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := b.d.mapOwner(tree, l, f); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	err = b.s.process.Within(func() error {
		if err := unix.Unmount(workDir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return os.NewSyscallError("umount", err)
		}
		return os.NewSyscallError("move_mount", unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, workDir, unix.MOVE_MOUNT_F_EMPTY_PATH))
	})
	if err != nil || b.label.Imaged {
		return err
	}
	return os.Remove(b.home.OwnWork()) // it is empty
}

// removeBlanks clears away those whose makers have died.
func (d *Driver) removeBlanks(ctx context.Context) {
	dirs, _ := filepath.Glob(filepath.Join(d.root, blankPrefix+"*"))
	for _, dir := range dirs {
		unlock, ok := d.homes.TryLock(dir)
		if !ok {
			continue
		}
		l := label{Label: homes.Label{Mark: strings.TrimPrefix(filepath.Base(dir), blankPrefix)}}
		if err := d.homes.Clear(ctx, homes.Home(dir), &l); err != nil {
			d.log.Warn("what is left of a warm sandbox cannot be removed", "dir", filepath.Base(dir), "err", err)
		}
		unlock()
	}
	if len(dirs) > 0 {
		d.removeClaims()
	}
}
