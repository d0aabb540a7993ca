package target

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/supervisor"
)

// A temporary state directory has a file that says whose backend it is, and that is locked for as long as there is a process that
// uses it: what was killed leaves sandboxes behind, which the next one ends.
const (
	ownPrefix = "st-bench-" // short, since sockets lie below, whose paths have 108 bytes
	ownFile   = "bench.json"
)

// makeOwn makes a temporary state directory. The lock ends with the file.
func makeOwn(c Config) (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp("", ownPrefix); err != nil {
		return "", nil, err
	}
	lock, err = os.OpenFile(filepath.Join(dir, ownFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); err == nil {
			err = json.NewEncoder(lock).Encode(Order{Backend: c.Backend, Values: c.Values})
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// clearStale ends what was left in temporary state directories whose process was killed, of the same backend. It does what it can: what is
// still there is ended by itself, when nobody has asked for it for long enough.
func clearStale(ctx context.Context, c Config) {
	files, _ := filepath.Glob(filepath.Join(os.TempDir(), ownPrefix+"*", ownFile))
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		var o Order
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && json.NewDecoder(f).Decode(&o) == nil && o.Backend == c.Backend {
			clearOne(ctx, c, filepath.Dir(path), o.Values)
		}
		f.Close()
	}
}

func clearOne(ctx context.Context, c Config, dir string, values map[string]any) {
	driver, err := c.Driver(backends.Options{StateDir: dir, Environ: c.Environ, Values: values})
	if err != nil {
		return
	}
	c.StateDir = dir
	s := &System{config: c, own: true}
	s.system, err = supervisor.Open(ctx, supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{c.Backend: driver}})
	if err != nil {
		return
	}
	_ = s.Close(ctx)
}
