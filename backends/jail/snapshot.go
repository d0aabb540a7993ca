package jail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// kept is the record of a snapshot.
type kept struct {
	backends.Snapshot
	Layers []string `json:"layers"`            // the uppermost first
	Root   []string `json:"root,omitempty"`    // the same, of what was written over the root
	RootOf string   `json:"root_of,omitempty"` // that root
}

var (
	_ backends.Snapshotter    = (*instance)(nil)
	_ backends.SnapshotKeeper = (*Driver)(nil)
)

// Snapshot keeps the sandbox's home and workspace as they are now.
func (i *instance) Snapshot(ctx context.Context, name string, aside backends.Aside) (backends.Snapshot, error) {
	made, err := i.snapshot(ctx, name, aside)
	if err != nil {
		return made, i.d.homes.Failed("Snapshot", i.ID(), err)
	}
	return made, nil
}

func (i *instance) snapshot(ctx context.Context, name string, aside backends.Aside) (backends.Snapshot, error) {
	var none backends.Snapshot
	unlock, l, err := i.LockLiving(ctx)
	if err != nil {
		return none, err
	}
	defer unlock()
	if _, err := os.Lstat(i.d.snapshots().Path(name)); err == nil {
		return none, taken(name)
	}
	s := &snapping{d: i.d, home: home{i.Home}, label: *l, process: i.Process, aside: aside}
	s.Name, s.Of, s.Created, s.Size, s.Files = name, l.ID, time.Now().UTC(), -1, -1
	return s.make(ctx)
}

func taken(name string) error {
	return homes.Coded(sandbox.Conflict, fmt.Errorf("there is a snapshot %q already: give another name, or remove it first", name))
}

// snapping is the making of one snapshot, under the home's lock.
type snapping struct {
	backends.Snapshot
	d       *Driver
	home    home
	label   label
	process *held.Process
	aside   backends.Aside
	layers  []string // that it has in the end
	root    []string
	base    *os.File // the configured root, if what is written over it is kept
	laying  *laying  // nil if it is copied
}

// make makes it. If it fails after the jail has been touched, the jail is ended, and has its files when it is revived.
func (s *snapping) make(ctx context.Context) (backends.Snapshot, error) {
	s.Holds, s.Way, s.Why = []string{partHome, partWork}, backends.WayLayer, s.whyCopied()
	if s.Why != "" {
		s.Way = backends.WayCopy
	}
	rooted := s.d.rooted(s.label)
	if rooted {
		s.Holds = append(s.Holds, partRoot)
		if len(s.label.Root) >= mostRoot {
			return s.Snapshot, homes.Coded(sandbox.Unsupported,
				fmt.Errorf("what was written over its root is in %d layers already: begin again without a snapshot", mostRoot))
		}
	}
	err := s.begin(ctx)
	if err == nil && rooted && s.Way == backends.WayLayer { // it takes a moment, in which nobody need stand still
		s.base, err = s.d.openBaseOf(s.label)
		defer func() { closeAll([]*os.File{s.base}) }()
	}
	if err == nil && s.Way == backends.WayLayer {
		s.laying, err = s.d.layAhead(s.home, swapped(s.label), s.base)
		defer s.laying.drop()
	}
	if err == nil {
		err = s.still(ctx)
	}
	if err == nil {
		err = s.keep()
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	if s.label.Pending != nil {
		if _, broken := errors.AsType[brokenError](err); broken { // the files may be where only the label says
			return s.Snapshot, err
		}
		s.label.Pending = nil
		if failed := s.home.write(s.label); failed != nil { // the next start makes of the old label what this one says
			err = errors.Join(err, s.orEnd(cleanup, brokenError{failed}))
		}
	}
	if err != nil || s.Way == backends.WayCopy { // there is a layer that was made in vain
		err = errors.Join(err, s.d.sweepLayers(cleanup))
	}
	return s.Snapshot, err
}

// whyCopied says why the files must be copied; "" if they need not be.
func (s *snapping) whyCopied() string {
	switch l := s.label; {
	case l.Imaged:
		return "they are in an image"
	case l.Named:
		return "the workspace is a directory of the host's"
	case len(l.Layers) >= mostLayers:
		return fmt.Sprintf("there are %d layers already", len(l.Layers))
	}
	return s.d.whyNoLayers()
}

// begin notes what is about to happen, and makes the layers that it needs.
func (s *snapping) begin(ctx context.Context) error {
	unlock, err := s.d.lockLayers(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p := &swap{Copy: s.Way == backends.WayCopy, Root: s.d.rooted(s.label)}
	if !p.Copy {
		if p.Upper, err = s.d.newLayer(s.label.FirstID); err != nil {
			return err
		}
	}
	if p.Copy || len(s.label.Layers) == 0 || p.Root && len(s.label.Root) == 0 {
		if p.Base, err = s.d.newLayer(s.label.FirstID); err != nil {
			return err
		}
	}
	s.label.Pending = p
	return s.home.write(s.label)
}

// still has the programs stand still while the files are kept.
func (s *snapping) still(ctx context.Context) error {
	g := homes.Group(&s.label.Label)
	paused := frozen(g)
	if g.Dir(cgroup.Freezer) == "" || paused {
		begun := time.Now()
		defer func() { s.Took = time.Since(begun) }()
		return s.orEnd(ctx, s.files(ctx))
	}
	back := func(context.Context) {}
	if s.Way == backends.WayLayer && s.aside != nil {
		back = s.aside(ctx)
	}
	begun := time.Now()
	err := g.Freeze(ctx, true)
	if err == nil {
		err = s.files(ctx)
	}
	if _, broken := errors.AsType[brokenError](err); broken {
		return s.orEnd(ctx, err)
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	err = errors.Join(err, g.Freeze(cleanup, false))
	s.Took = time.Since(begun)
	back(ctx)
	return err
}

// orEnd ends a jail that is of no use any more, and settles where its files are. If that cannot be done now, the next start does it.
func (s *snapping) orEnd(ctx context.Context, err error) error {
	if _, broken := errors.AsType[brokenError](err); !broken {
		return err
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), reap.Patience)
	defer cancel()
	err = errors.Join(err, s.d.abandon(cleanup, s.label, s.process))
	return homes.Coded(sandbox.Unavailable, errors.Join(err, s.d.settle(s.home, &s.label)))
}

// brokenError says that the jail is of no use any more.
type brokenError struct{ error }

func (b brokenError) Unwrap() error { return b.error }

// frozen says whether the programs of a group stand still already.
func frozen(g cgroup.Group) bool {
	dir := g.Dir(cgroup.Freezer)
	if dir == "" {
		return false
	}
	b, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
	if err != nil {
		b, _ = os.ReadFile(filepath.Join(dir, "cgroup.freeze"))
	}
	return len(b) > 0 && (b[0] == 'F' || b[0] == '1')
}

// files keeps them, by a layer if that can be.
func (s *snapping) files(ctx context.Context) error {
	if s.Way == backends.WayLayer {
		switch err := s.d.swap(s.home, &s.label, s.process, s.base != nil, s.laying); {
		case err == nil:
			s.layers = s.label.Layers[1:]
			if s.base != nil {
				s.root = s.label.Root[1:]
			}
			return nil
		case !errors.Is(err, errBusy):
			return brokenError{err}
		}
		s.laying.drop()
		s.Way, s.Why = backends.WayCopy, errBusy.Error()
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	return s.copy(ctx)
}

// copy copies what the jail shows into a layer of its own.
func (s *snapping) copy(ctx context.Context) error {
	base := s.label.Pending.Base
	var all trees.Stats
	for _, from := range s.sources() {
		dir := filepath.Join(s.d.layerFiles(base), from.part)
		src, err := from.open()
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err != nil {
			return err
		}
		c := trees.Copying{}
		if os.Geteuid() == 0 {
			c.Owner = s.label.owned
		}
		stats, err := c.CopyFrom(ctx, src, dir)
		if err != nil {
			return fmt.Errorf("copy the %s: %w", from.part, err)
		}
		all.Files += stats.Files
		all.Bytes += stats.Bytes
	}
	if s.d.rooted(s.label) {
		stats, err := s.copyRoot(ctx, base)
		if err != nil {
			return err
		}
		all.Files += stats.Files
		all.Bytes += stats.Bytes
	}
	s.Files, s.Size, s.layers = all.Files, all.Bytes, []string{base}
	return s.d.layers().Rewrite(base, layer{FirstID: s.label.FirstID, Counted: true, Size: all.Bytes, Files: all.Files})
}

// copyRoot copies what was written over the root since the last layer was begun, whose place it takes.
func (s *snapping) copyRoot(ctx context.Context, base string) (trees.Stats, error) {
	upper, _ := s.d.rootDirs(s.home, s.label)
	s.root = []string{base}
	if len(s.label.Root) > 0 {
		s.root = append(s.root, s.label.Root[1:]...)
	}
	stats, err := trees.Copying{Owner: s.label.owned, Layer: true}.Copy(ctx, upper, filepath.Join(s.d.layers().Path(base), partRoot))
	if err != nil {
		return stats, fmt.Errorf("copy what was written over the root: %w", err)
	}
	return stats, nil
}

// owned says whose a file is to be in a layer with the numbers of l: nobody's, where it is nobody's of the jail's.
func (l label) owned(uid, gid uint32) (uint32, uint32) {
	one := func(id uint32) uint32 {
		if id >= l.FirstID && id < l.FirstID+homes.IDsOfEach {
			return id
		}
		return l.FirstID + homes.IDsOfEach - 1
	}
	return one(uid), one(gid)
}

// source is a directory that is copied.
type source struct {
	part string
	open func() (*os.File, error)
}

// sources are the directories with the parts. Root looks them up as the jail's programs have them, whom files belong to
// included; an ordinary user may not look into a jail, and has them on the host.
func (s *snapping) sources() []source {
	l := s.label
	on := func(part, host, target string) source {
		if os.Geteuid() == 0 {
			return source{part, func() (*os.File, error) { return inJail(s.process, target) }}
		}
		return source{part, func() (*os.File, error) { return openUnlinked(host) }}
	}
	return []source{
		on(partHome, s.home.HomeDir(), s.d.user().Home),
		on(partWork, cmp.Or(l.Resolved, l.Workspace), workDir),
	}
}

// openUnlinked opens a directory of the host to which no link leads.
func openUnlinked(dir string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &how)
	if errors.Is(err, unix.ELOOP) {
		return nil, homes.LeadsAway(dir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// inJail opens a directory of a jail, to which no link leads: a program that can write beside it could lead to /proc.
func inJail(p *held.Process, dir string) (*os.File, error) {
	root, err := os.Open(filepath.Join("/proc", strconv.Itoa(p.PID), "root"))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if !p.Alive() { // else the root is its own
		return nil, held.ErrEnded
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(root.Fd()), dir, &how)
	if errors.Is(err, unix.ELOOP) {
		return nil, homes.LeadsAway(dir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// keep puts the record on the shelf, while the label still refers to the layers.
func (s *snapping) keep() error {
	k := kept{Snapshot: s.Snapshot, Layers: s.layers, Root: s.root}
	if len(k.Root) > 0 {
		k.RootOf = s.d.config.Root
	}
	err := s.d.snapshots().Put(s.Name, func(string) (any, error) { return k, nil })
	if errors.Is(err, shelf.ErrTaken) {
		return taken(s.Name)
	}
	return err
}
