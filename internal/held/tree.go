package held

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// rescans is how often a directory is looked through again that is not empty when all that was seen in it has gone.
	rescans = 10
	// maxInner is how many directories may be one in the other that nothing can be moved out of, as are subvolumes.
	maxInner = 16
	// maxNames is how many names are removed of one tree. More than that are made by somebody while they are removed; if not,
	// whoever comes next goes on where this stopped.
	maxNames = 1 << 28
	// batch is how many names are in memory at a time.
	batch = 256
)

var (
	errBusy   = errors.New("somebody goes on writing into it")
	errNested = errors.New("too many subvolumes or file systems, one in the other")
)

// RemoveTree removes a directory to the last file, also where what ran in it took away its own permission to do so, as
// a module cache does; and where another process writes a last file into it, as the one does that notes how its child ended.
//
// It follows no link and enters no mount. However deep the tree is, it takes three descriptors and some kilobytes (where
// nothing can be moved out of a directory, as of a subvolume, as many again): what ran in it may have made it deeper than a
// process has descriptors.
func RemoveTree(dir string) error {
	names := int64(maxNames)
	if err := removeTree(unix.AT_FDCWD, dir, maxInner, &names); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// tree is a directory that is being emptied. Directories in its directories are moved up into it, so that none has to be
// open while one below it is.
type tree struct {
	top   *os.File
	fresh string // what the names begin with that are given here; nobody could take them before
	given int64
	moved int64  // how many of them are taken: work to come
	inner int    // how many more trees may be begun inside of this one
	names *int64 // that may still be removed
}

// removeTree removes what name is in the directory parent.
func removeTree(parent int, name string, inner int, names *int64) error {
	switch err := remove(parent, name); {
	case err == nil:
		return nil
	case !errors.Is(err, unix.ENOTEMPTY):
		return err
	case inner == 0:
		return errNested
	}
	top, err := openDir(parent, name)
	if err != nil {
		return unlessGone(err)
	}
	defer top.Close()
	t := &tree{top: top, fresh: "." + rand.Text() + "-", inner: inner, names: names}
	for again := 0; ; {
		moved := t.moved
		failed := t.empty(top)
		err := remove(parent, name)
		switch {
		case !errors.Is(err, unix.ENOTEMPTY):
			return err
		case t.moved > moved: // there is new work, and less of it
		case failed != nil:
			return failed
		case again == rescans:
			return errBusy
		default:
			again++
		}
	}
}

// empty removes what is in d, which is the top or right below it. It goes on after a failure, and returns the first.
func (t *tree) empty(d *os.File) (failed error) {
	if _, err := d.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		all, err := d.Readdirnames(batch)
		if errors.Is(err, io.EOF) {
			return failed
		} else if err != nil {
			return errors.Join(failed, err)
		}
		for _, name := range all {
			if *t.names--; *t.names < 0 {
				return errBusy
			}
			if err := t.clear(d, name); err != nil && failed == nil {
				failed = fmt.Errorf("%q: %w", name, err)
			}
		}
	}
}

// clear removes one of the names in d; a directory that is not right below the top is moved there.
func (t *tree) clear(d *os.File, name string) error {
	err := remove(int(d.Fd()), name)
	if errors.Is(err, unix.EACCES) && d.Chmod(0o700) == nil {
		err = remove(int(d.Fd()), name)
	}
	switch {
	case !errors.Is(err, unix.ENOTEMPTY):
		return err
	case d == t.top:
		return t.dissolve(name)
	}
	err = t.raise(d, name)
	if errors.Is(err, unix.EACCES) && errors.Join(d.Chmod(0o700), allow(int(d.Fd()), name)) == nil { // it is asked itself: its ".." changes
		err = t.raise(d, name)
	}
	if errors.Is(err, unix.EXDEV) { // a subvolume, or a directory that an overlay shows of below
		return removeTree(int(d.Fd()), name, t.inner-1, t.names)
	}
	return unlessGone(err)
}

// raise moves a directory up.
func (t *tree) raise(d *os.File, name string) error {
	t.given++
	err := ignoringEINTR(func() error {
		return unix.Renameat(int(d.Fd()), name, int(t.top.Fd()), t.fresh+strconv.FormatInt(t.given, 36))
	})
	if err == nil {
		t.moved++
	}
	return err
}

// dissolve removes a directory right below the top, and moves up what directories there are in it.
func (t *tree) dissolve(name string) error {
	d, err := openDir(int(t.top.Fd()), name)
	if err != nil {
		return unlessGone(err)
	}
	defer d.Close()
	for range 1 + rescans {
		failed := t.empty(d)
		err := remove(int(t.top.Fd()), name)
		if !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	return errBusy
}

// remove removes a file, a link or an empty directory. Of any other directory it says ENOTEMPTY, of a mount EBUSY. What is not
// there is removed.
func remove(parent int, name string) error {
	err := unlink(parent, name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unlink(parent, name, unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.EEXIST) { // which some file systems say instead
		err = unix.ENOTEMPTY
	}
	return unlessGone(err)
}

func unlink(parent int, name string, flags int) error {
	return ignoringEINTR(func() error { return unix.Unlinkat(parent, name, flags) })
}

// openDir opens a directory that is no link, also if it forbids that.
func openDir(parent int, name string) (*os.File, error) {
	open := func() (fd int, err error) {
		err = ignoringEINTR(func() error {
			fd, err = unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			return err
		})
		return fd, err
	}
	fd, err := open()
	if errors.Is(err, unix.EACCES) && allow(parent, name) == nil {
		fd, err = open()
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// allow lets this user do everything with a directory that may not even be opened. Chmod would follow a link put in its place;
// what it follows here is a descriptor.
func allow(parent int, name string) error {
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o700)
}

func unlessGone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
