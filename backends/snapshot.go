package backends

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Snapshot is what files a sandbox had at one moment. It never changes, and is there until it is removed, whatever becomes of
// the sandbox. It holds what programs have written, secrets too; nothing of the runtime's own: no key, no record of actions,
// no variable.
type Snapshot struct {
	Name    string        `json:"name"`
	Backend string        `json:"backend"`
	Of      sandbox.ID    `json:"of"` // the sandbox; of an imported one, that where it was made
	Created time.Time     `json:"created"`
	Took    time.Duration `json:"took"`          // nanoseconds; programs stood still meanwhile, where they can be made to
	Size    int64         `json:"size"`          // bytes of files; -1 is not counted yet: see Backend.Snapshot
	Files   int64         `json:"files"`         // of all kinds; -1 is not counted yet
	Holds   []string      `json:"holds"`         // parts of the sandbox, of "workspace", "home" and "root"
	Way     string        `json:"way"`           // WayLayer and so on
	Why     string        `json:"why,omitempty"` // why it was copied where it need not have been
}

// The ways in which snapshots are made.
const (
	WayLayer  = "layer"  // nothing is copied: what was written so far becomes a layer that stays as it is, under a new one
	WayCopy   = "copy"   // files are copied; their contents are shared where the file system can
	WayImage  = "image"  // an image of the engine's
	WayImport = "import" // it came from an archive
)

// A Snapshotter is an instance of whose files a Snapshot can be made; its driver is a SnapshotKeeper. Its programs stand still
// meanwhile where they can be made to. aside may be called, at most once and before they stand still: it asks those that it
// can to let go of their working directories, and what it returns asks them back. Codes: Invalid, Conflict (there is one of that
// name, or a newer epoch holds the sandbox), NotFound, Unsupported, Exhausted, Unavailable, Canceled.
type Snapshotter interface {
	Snapshot(ctx context.Context, name string, aside Aside) (Snapshot, error)
}

// Aside is how a Snapshotter asks programs to step aside. It does not fail: who does not is seen by the kernel.
type Aside func(ctx context.Context) (back func(ctx context.Context))

// A SnapshotKeeper is a driver with snapshots. Its Start makes a new sandbox of a Spec.From with the files of that snapshot,
// which is NotFound if there is none; of a sandbox that exists From is only compared. Of one backend no two have the same name.
type SnapshotKeeper interface {
	// Snapshots are all, counted.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// RemoveSnapshot removes one. Sandboxes that began with it keep their files. No such snapshot is no error.
	RemoveSnapshot(ctx context.Context, name string) error
	// Restore gives a sandbox the files of a snapshot instead of its own, of all that the snapshot holds. What runs in it is
	// ended, by force; Start revives it, with its memory of what it has done. Codes: NotFound (no such sandbox, or snapshot),
	// Conflict (a newer epoch holds it), Unsupported (its workspace is the caller's), Exhausted.
	Restore(ctx context.Context, id sandbox.ID, epoch uint64, name string) error
}

// Snapshots are those of the backend, by the time when they were made. One that has none has none. Codes: those of the driver.
func (b *Backend) Snapshots(ctx context.Context) ([]Snapshot, error) {
	k, ok := b.driver.(SnapshotKeeper)
	if !ok {
		return nil, nil
	}
	all, err := k.Snapshots(ctx)
	for i := range all {
		all[i].Backend = b.name
	}
	slices.SortFunc(all, func(x, y Snapshot) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return strings.Compare(x.Name, y.Name)
	})
	return all, b.wrap("Snapshots", "", b.canceled(ctx, err))
}

// Snapshot is the one of that name, counted. Code: NotFound.
func (b *Backend) Snapshot(ctx context.Context, name string) (Snapshot, error) {
	all, err := b.Snapshots(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	i := slices.IndexFunc(all, func(s Snapshot) bool { return s.Name == name })
	if i < 0 {
		return Snapshot{}, b.wrap("Snapshot", "", &sandbox.Error{Code: sandbox.NotFound, Err: NoSnapshot(name)})
	}
	return all[i], nil
}

// NoSnapshot says, for an error whose code is NotFound, that there is none of that name.
func NoSnapshot(name string) error {
	return fmt.Errorf("there is no snapshot %q; `sandtree snapshots` lists those that there are", name)
}

// RemoveSnapshot removes a snapshot. Sandboxes that began with it keep their files. No such snapshot is no error.
func (b *Backend) RemoveSnapshot(ctx context.Context, name string) error {
	k, err := b.keeper()
	if err == nil {
		err = CheckSnapshotName(name)
	}
	if err == nil {
		err = k.RemoveSnapshot(ctx, name)
	}
	return b.wrap("RemoveSnapshot", "", b.canceled(ctx, err))
}

// Restore gives the sandbox named id the files of a snapshot instead of its own, for one whose epoch is epoch. What runs in it
// is ended, by force; Start revives it.
func (b *Backend) Restore(ctx context.Context, id sandbox.ID, epoch uint64, name string) error {
	k, err := b.keeper()
	if err == nil {
		err = id.Check()
	}
	if err == nil {
		err = CheckSnapshotName(name)
	}
	if err == nil {
		err = k.Restore(ctx, id, epoch, name)
	}
	if err == nil {
		b.log.Info("sandbox restored", "id", id, "snapshot", name)
	}
	return b.wrap("Restore", id, b.canceled(ctx, err))
}

func (b *Backend) keeper() (SnapshotKeeper, error) {
	if k, ok := b.driver.(SnapshotKeeper); ok {
		return k, nil
	}
	return nil, &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("this backend makes no snapshots")}
}

// checkFrom says whether the backend can start a sandbox that begins with a snapshot. Code: Unsupported.
func (b *Backend) checkFrom(spec sandbox.Spec) error {
	if spec.From == "" {
		return nil
	}
	_, err := b.keeper()
	return err
}

// CheckSnapshotName says whether a snapshot can have the name: one that a sandbox could have. Code: Invalid.
func CheckSnapshotName(name string) error {
	if err := sandbox.ID(name).Check(); err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "snapshot", Err: fmt.Errorf("%q cannot name one: %w", name, err)}
	}
	return nil
}

// Snapshot keeps what files the sandbox has now under a name, "" for one that is made. No action must run meanwhile. The size may
// not be counted yet. Codes: Unsupported, and those of Snapshotter.
func (s *Sandbox) Snapshot(ctx context.Context, name string) (Snapshot, error) {
	fail := func(err error) (Snapshot, error) {
		return Snapshot{}, s.backend.wrap("Snapshot", s.id, s.backend.canceled(ctx, err))
	}
	i, ok := s.instance.(Snapshotter)
	if !ok {
		return fail(&sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("this backend makes no snapshots")})
	}
	if name == "" {
		name = string(s.id) + "." + sandbox.RandomHex(4)
	}
	if err := CheckSnapshotName(name); err != nil {
		return fail(err)
	}
	made, err := i.Snapshot(ctx, name, s.aside)
	if err != nil {
		return fail(uncopied(err))
	}
	made.Backend = s.backend.name
	s.backend.log.Info("snapshot made", "id", s.id, "snapshot", name, "took", made.Took, "way", made.Way, "why", made.Why)
	return made, nil
}

// The commands by which the main shell steps aside, and comes back to its working directory, to the last one before it and to
// the exit code of the last command. A shell whose directory has gone stays where it is, and so does one in which something
// runs, which takes no command.
const (
	stepAside = `_sandtree_aside=("$?" "$PWD" "${OLDPWD-}"); if [ "$PWD" -ef . ]; then builtin cd /; else unset _sandtree_aside; fi`
	stepBack  = `if [ "${_sandtree_aside+set}" ]; then builtin cd -- "${_sandtree_aside[1]}" || builtin cd; OLDPWD=${_sandtree_aside[2]}
_sandtree_back() { builtin set -- "${_sandtree_aside[0]}"; unset _sandtree_aside; unset -f _sandtree_back; return "$1"; }; _sandtree_back; fi`
	steppingTime = 5 * time.Second
)

// aside asks the main shell to step aside.
func (s *Sandbox) aside(ctx context.Context) func(ctx context.Context) {
	if !s.tell(ctx, stepAside) {
		return func(context.Context) {}
	}
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), steppingTime)
		defer cancel()
		if !s.tell(ctx, stepBack) {
			s.backend.log.Warn("the shell could not be told to come back to its directory", "id", s.id)
		}
	}
}

// tell has the main shell do a command that nobody sees.
func (s *Sandbox) tell(ctx context.Context, command string) bool {
	o, err := s.Do(ctx, sandbox.Action{ID: sandbox.NewActionID(), Timeout: steppingTime,
		Args: sandbox.RunArgs{Command: command, Blocking: true, Hidden: true}}, nil)
	r, ok := o.Result.(sandbox.RunResult)
	return err == nil && ok && r.Metadata.ExitCode >= 0
}
