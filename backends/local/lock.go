package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// lock gets the lock of a home, for which it waits until ctx ends, and makes the home if make is set; without, a
// missing home is fs.ErrNotExist. The lock ends with the process that holds it, so a crash leaves nothing locked.
// A file lock does not notice that its file was removed, and the home with it: whoever waited for such a one begins
// again.
func (d *Driver) lock(ctx context.Context, h home, make bool) (unlock func(), err error) {
	for {
		f, err := openLock(h, make)
		if err != nil {
			return nil, err
		}
		if err := d.flock(ctx, f); err != nil {
			return nil, err
		}
		held, err := f.Stat()
		there, err2 := os.Stat(h.path("lock"))
		if err == nil && err2 == nil && os.SameFile(held, there) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			return nil, err2
		}
	}
}

func openLock(h home, make bool) (*os.File, error) {
	flags := os.O_RDWR
	if make {
		flags |= os.O_CREATE
	}
	for {
		if make {
			if err := os.MkdirAll(string(h), 0o700); err != nil {
				return nil, err
			}
		}
		f, err := os.OpenFile(h.path("lock"), flags, 0o600)
		if make && errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two steps
		}
		return f, err
	}
}

// flock locks f, or closes it. The kernel wakes whoever waits for a lock, but cannot be told to give up waiting: that is
// left to a goroutine, which lets go of the lock if nobody wants it any more, and for which Close waits. It gets the
// lock within the time that a start or a stop takes.
func (d *Driver) flock(ctx context.Context, f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return nil
	} else if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return err
	}
	locked := make(chan error)
	if !d.begin(func() {
		err := flock(f, syscall.LOCK_EX)
		select {
		case locked <- err:
		case <-ctx.Done():
			f.Close()
		}
	}) {
		f.Close()
		return errClosed
	}
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		return coded{sandbox.Canceled, fmt.Errorf("another start or stop of it is under way: %w", context.Cause(ctx))}
	}
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}
