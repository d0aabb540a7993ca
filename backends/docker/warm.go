package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// A blank is a container that runs and has not been told on its standard input whose it is: as far as a container is concerned, a
// cold start that waits there. It has no id, key, owner or policy, and its network no way out. Its directory has a name that no
// id has, and becomes that of the sandbox in one step; a link by the old name stays, since that is where the engine looks for
// what it mounts if it starts the container once more. The lock of the directory says that its maker lives: one that is
// not locked is nobody's, and whoever lists what there is clears it away. Without its maker the server ends by itself.
type blank struct {
	d      *Driver
	home   home
	unlock func()
	label  label
	shape  string
	key    string
	told   *launching
	run    *running
	box    container.InspectResponse
	way    *way           // out, for the one whose it will be; nil if there is none
	wg     sync.WaitGroup // reads what the server says
	used   atomic.Bool
}

var _ backends.Warmer = (*Driver)(nil)

// blankPrefix begins the names of their directories; no id begins with a dot.
const blankPrefix = ".blank-"

// Shape is the same for all specs whose limits the engine can set in a running container; it cannot lift them. Not to be had is
// one with a named workspace, since nothing can be mounted into a running container that is there again after a restart, one that
// begins with a snapshot, or whose disks are slowed down; and any where mounts are in a sandbox's own directory or in memory, or
// where the server is not reached by a socket.
func (d *Driver) Shape(spec sandbox.Spec) (shape string, ok bool) {
	l := spec.Limits
	switch {
	case spec.Workspace != "", spec.From != "", !spec.Audit.Equal(sandbox.Audit{}), l.DiskRead > 0, l.DiskWrite > 0,
		!d.config.shared(), d.config.Reach != reachSocket, d.config.Storage == storageMemory:
		return "", false
	}
	for _, m := range d.mounts {
		if m.mode == modeOverlay {
			return "", false
		}
	}
	if lifts(sandbox.Limits{}, l) || l.Swap < 0 || l.Swappiness > 0 {
		return fmt.Sprintf("cpu=%g memory=%d swap=%d swappiness=%d processes=%d", l.CPU, l.Memory, l.Swap, l.Swappiness, l.Processes), true
	}
	return "", true
}

// Warm starts a container for specs of that shape. It returns when it waits.
func (d *Driver) Warm(ctx context.Context, spec sandbox.Spec) (backends.Blank, error) {
	b, err := d.warm(ctx, spec)
	if err != nil {
		return nil, failed("docker.Warm", "", err)
	}
	return b, nil
}

func (d *Driver) warm(ctx context.Context, spec sandbox.Spec) (_ *blank, err error) {
	shape, ok := d.Shape(spec)
	if !ok {
		return nil, coded{sandbox.Unsupported, errors.New("a sandbox of this kind is not started before it is asked for")}
	}
	program, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	if _, err := d.info(ctx); err != nil { // on it depends what follows
		return nil, err
	}
	name := sandbox.RandomHex(12)
	b := &blank{d: d, home: home(filepath.Join(d.root, blankPrefix+name)), shape: shape}
	if b.unlock, err = d.locker.Lock(ctx, string(b.home), true); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop(context.WithoutCancel(ctx), 0))
		}
	}()
	l := label{Container: containerPrefix + name, Blank: blankPrefix + name, Workspace: b.home.workspaceDir(), Created: time.Now().UTC()}
	if shape != "" {
		l.Limits = spec.Limits
	}
	if l.UID, l.GID, err = d.user(l); err != nil {
		return nil, err
	}
	b.label = l
	if err := b.home.write(l); err != nil { // from here on, the next process finds the container
		return nil, err
	}
	if err := d.furnish(b.home, l); err != nil {
		return nil, err
	}
	if b.key, err = b.home.makeKey(); err != nil { // nobody is told the key yet
		return nil, err
	}
	id, err := d.create(ctx, b.home, l, sandbox.Spec{Limits: l.Limits}, program)
	if err != nil {
		return nil, err
	}
	return b, b.start(ctx, id)
}

// start starts the container, and returns when its server waits.
func (b *blank) start(ctx context.Context, id string) (err error) {
	if b.told, err = b.d.attach(ctx, id); err != nil {
		return err
	}
	b.wg.Go(b.told.listen)
	if err := b.d.engine.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return err
	}
	b.run, b.box, err = b.d.watch.share(ctx, id)
	if err == nil {
		err = b.told.await(ctx, b.told.waits)
	}
	if err == nil {
		b.told.dial(ctx, b.home)
		err = b.openDoors()
	}
	if errors.Is(err, errEnded) {
		err = b.d.early(ctx, id, b.told)
	}
	return err
}

// openDoors opens those of its network, which takes the kernel some 10 ms: what comes to them waits until it is somebody's.
func (b *blank) openDoors() error {
	d := b.d
	if !d.filtered() {
		return nil
	}
	set, err := openDoors(b.run.id, b.box.State.Pid)
	if err != nil {
		return err
	}
	set.Settle()
	b.way = &way{doors: set, replaced: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ways[b.run.key()] = b.way
	return nil
}

// shut closes them where they are nobody's.
func (b *blank) shut() {
	if b.way != nil {
		b.d.forgetWay(b.run.key(), b.way)
		b.way.doors.Close()
	}
}

// Alive says whether it waits.
func (b *blank) Alive() bool {
	if b.used.Load() {
		return false
	}
	select {
	case <-b.told.over:
		return false
	case <-b.run.letgo:
		return false
	default:
		return true
	}
}

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
	b.hangUp()
	b.shut()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := b.d.clear(ctx, b.home, b.label); err != nil {
		return failed("docker.Stop", "", err)
	}
	return nil
}

// hangUp ends the connection to its server.
func (b *blank) hangUp() {
	if b.told != nil {
		b.told.hangUp()
		b.wg.Wait()
	}
}

// Adopt makes the blank the sandbox of spec. Where it cannot be, because it has ended or there is such a sandbox already, it is
// ended, and the sandbox is started as any.
func (b *blank) Adopt(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	d := b.d
	if err := d.check(spec); err != nil {
		return nil, errors.Join(err, b.Stop(ctx, 0))
	}
	if !b.fits(spec) {
		if err := b.Stop(ctx, 0); err != nil {
			d.log.Warn("what is left of a warm sandbox cannot be removed", "err", err)
		}
		return d.Start(ctx, spec)
	}
	l, err := b.become(ctx, spec)
	if err != nil {
		err = errors.Join(err, b.discard(ctx))
		if errors.Is(err, unix.EEXIST) { // another has begun to start it
			return d.Start(ctx, spec)
		}
		return nil, failed("docker.Start", spec.ID, err)
	}
	defer b.unlock()
	inst, err := b.hand(ctx, l, spec)
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return nil, failed("docker.Start", spec.ID, errors.Join(err, d.clear(cleanup, d.home(spec.ID), l)))
	}
	return inst, nil
}

// fits takes the blank if it can be the sandbox of spec.
func (b *blank) fits(spec sandbox.Spec) bool {
	shape, ok := b.d.Shape(spec)
	if !ok || shape != b.shape || !b.Alive() {
		return false
	}
	if _, err := os.Lstat(string(b.d.home(spec.ID))); err == nil {
		return false
	}
	return b.used.CompareAndSwap(false, true)
}

// become makes the directory that of the sandbox, which exists from then on. Its server has been told nothing: should we die, it
// ends, and the next process finds a sandbox whose server is dead.
func (b *blank) become(ctx context.Context, spec sandbox.Spec) (label, error) {
	d, h := b.d, b.d.home(spec.ID)
	l := b.label
	l.ID, l.Owner, l.Epoch, l.Limits, l.Egress = spec.ID, spec.Owner, spec.Epoch, spec.Limits, spec.Egress
	l.Created, l.Workspace = time.Now().UTC(), h.workspaceDir()
	if l.Limits != b.label.Limits {
		if err := d.limit(ctx, b.run.id, l.Limits); err != nil {
			return b.label, err
		}
	}
	if err := b.home.write(l); err != nil {
		return b.label, err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, string(b.home), unix.AT_FDCWD, string(h), unix.RENAME_NOREPLACE); err != nil {
		return b.label, &os.LinkError{Op: "rename", Old: string(b.home), New: string(h), Err: err}
	}
	return l, nil
}

// hand tells the server whose it is, and gives the sandbox when it serves.
func (b *blank) hand(ctx context.Context, l label, spec sandbox.Spec) (_ *instance, err error) {
	defer b.hangUp()
	defer func() {
		if err != nil {
			b.shut()
		}
	}()
	d := b.d
	if err := d.link(l); err != nil {
		return nil, err
	}
	i := d.newInstance(d.home(l.ID), l, b.run, b.box, b.key)
	i.served, i.fresh = true, true
	ctx, booted := trace.Step(ctx, sandbox.PhaseBoot)
	defer func() { booted(err) }()
	out := make(chan error, 1)
	go func() { out <- i.letOut() }() // which the container's end undoes
	b.wg.Go(b.told.answer)
	b.told.tell(d.told(b.key, spec))
	err = b.told.await(ctx, b.told.ready)
	if errors.Is(err, errEnded) {
		err = d.early(ctx, b.run.id, b.told)
	}
	return i, errors.Join(err, <-out)
}

// link has the name that a sandbox's directory had before its sandbox was known lead to it, where it does not.
func (d *Driver) link(l label) error {
	if l.Blank == "" || l.ID == "" {
		return nil
	}
	if err := os.Symlink(string(l.ID), filepath.Join(d.root, l.Blank)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// unlink removes that link.
func (d *Driver) unlink(l label) error {
	if l.Blank == "" {
		return nil
	}
	file := filepath.Join(d.root, l.Blank)
	if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink == 0 {
		return nil // the directory of a blank has been moved away by now
	}
	return os.Remove(file)
}

// removeBlanks clears away those whose makers have died.
func (d *Driver) removeBlanks(ctx context.Context) {
	dirs, _ := filepath.Glob(filepath.Join(d.root, blankPrefix+"*"))
	for _, dir := range dirs {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			continue
		}
		unlock, ok := d.locker.TryLock(dir)
		if !ok {
			continue
		}
		l, err := home(dir).read()
		if err == nil || errors.Is(err, fs.ErrNotExist) { // without a label it has no container
			l.ID = ""
			err = d.clear(ctx, home(dir), l)
		}
		if err != nil {
			d.log.Warn("what is left of a warm sandbox cannot be removed", "dir", filepath.Base(dir), "err", err)
		}
		unlock()
	}
}

// adoptedBy is the id of the sandbox that has a container which was started before it; "" if there is none.
func (d *Driver) adoptedBy(c container.Summary) sandbox.ID {
	id, _ := os.Readlink(filepath.Join(d.root, c.Labels[labelPrefix+"blank"]))
	return sandbox.ID(id)
}
