package held

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Locker gets the locks of directories. Begin runs a function in a goroutine that whoever owns the Locker waits for when
// it closes, and is false if that has happened already.
type Locker struct {
	Begin func(func()) bool
}

// lockFile is the name of the file in a directory that is locked instead of it.
const lockFile = "lock"

// ErrClosed says that the owner of a Locker or of a Process has let go of it.
var ErrClosed = errors.New("it has been closed")

// Lock gets the lock of a directory, for which it waits until ctx ends, and makes the directory if make is set; without, a
// missing one is fs.ErrNotExist. The lock ends with the process that holds it, so a crash leaves nothing locked.
// A file lock does not notice that its file was removed, and the directory with it: whoever waited for such a one begins
// again.
func (k Locker) Lock(ctx context.Context, dir string, make bool) (unlock func(), err error) {
	for {
		f, err := openLock(dir, make)
		if !make && errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(dir) // somebody has died who was about to make its lock: it is empty, or stays; whoever lives makes it again
		}
		if err != nil {
			return nil, err
		}
		if err := k.flock(ctx, f); err != nil {
			return nil, err
		}
		held, err := f.Stat()
		there, err2 := os.Stat(filepath.Join(dir, lockFile))
		if err == nil && err2 == nil && os.SameFile(held, there) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			return nil, err2
		}
	}
}

// TryLock gets the lock of a directory that nobody has; false if somebody does, or there is no such directory any more.
func (k Locker) TryLock(dir string) (unlock func(), ok bool) {
	f, err := openLock(dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(dir) // as in Lock: else nobody would ever clear it away
	}
	if err != nil {
		return nil, false
	}
	if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		held, err := f.Stat()
		there, err2 := os.Stat(filepath.Join(dir, lockFile))
		if err == nil && err2 == nil && os.SameFile(held, there) {
			return func() { f.Close() }, true
		}
	}
	f.Close()
	return nil, false
}

func openLock(dir string, make bool) (*os.File, error) {
	flags := os.O_RDWR
	if make {
		flags |= os.O_CREATE
	}
	for {
		if make {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
		}
		f, err := os.OpenFile(filepath.Join(dir, lockFile), flags, 0o600)
		if make && errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two steps
		}
		return f, err
	}
}

// flock locks f, or closes it. The kernel wakes whoever waits for a lock, but cannot be told to give up waiting: that is
// left to a goroutine, which lets go of the lock if nobody wants it any more, and for which its owner waits. It gets the
// lock within the time that a start or a stop takes.
func (k Locker) flock(ctx context.Context, f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return nil
	} else if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return err
	}
	locked := make(chan error)
	if !k.Begin(func() {
		err := flock(f, syscall.LOCK_EX)
		select {
		case locked <- err:
		case <-ctx.Done():
			f.Close()
		}
	}) {
		f.Close()
		return ErrClosed
	}
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Locked says whether somebody holds the lock of a directory now.
func Locked(dir string) bool {
	f, err := openLock(dir, false)
	if err != nil {
		return false
	}
	defer f.Close()
	return flock(f, syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}
