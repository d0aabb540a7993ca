package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
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
		err = fmt.Errorf("%w: TMPDIR names a directory for what it needs in between", err)
		return "", nil, &sandbox.Error{Code: sandbox.Invalid, Op: "temporary state directory", Err: err}
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

// clearStale ends what was left in temporary state directories whose process was killed, of the same backend, with the values that it had
// there: another image or engine is no reason to leave it. It does what it can: what is still there is ended by itself, when nobody has asked for it for long enough. Anybody may make a directory of such a
// name where temporary ones are, so only those are touched that we have made and nobody else could have written to.
func clearStale(ctx context.Context, c Config) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), ownPrefix+"*"))
	for _, dir := range dirs {
		f, err := openOwn(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			var left Order
			if json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&left) == nil && left.Backend == c.Backend {
				stale := c
				stale.Values = left.Values
				clearOne(ctx, stale, dir)
			}
		}
		f.Close()
	}
}

// openOwn opens the file of a state directory that is this user's alone.
func openOwn(dir string) (*os.File, error) {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(d)
	if err := ours(d, unix.S_IFDIR); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(d, ownFile, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ownFile)
	if err := ours(fd, unix.S_IFREG); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

var errNotOurs = errors.New("another user has made it or can write to it")

func ours(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return errNotOurs
	}
	return nil
}

func clearOne(ctx context.Context, c Config, dir string) {
	driver, err := c.Driver(backends.Options{StateDir: dir, Environ: c.Environ, Values: c.Values})
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
