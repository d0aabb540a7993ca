// Package trees copies, packs and unpacks directories that strangers have written, and archives that they send.
//
// Nothing in such a tree leads out of it: every name is opened below a descriptor of its directory, no link is followed, and
// what is neither file, directory nor link is left out. It may change while it is read, in which case what is read is some
// of both; but it is not waited for. How deep it may be and how much it may hold is bounded, and so is the memory that it
// takes: that grows with the depth, and with the number of files that have several names up to a bound.
package trees

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// maxDepth is how deep a tree may be: each level takes two descriptors, and the longest path that a program can name
	// has 2048 levels, of one letter each.
	maxDepth = 512
	// maxLinks is how many files with several names are known again; beyond it each name gets a file of its own, until
	// such files have maxAgain bytes.
	maxLinks = 1 << 16
	maxAgain = 1 << 30
	// batch is how many names of a directory are in memory at a time.
	batch = 256
)

// ErrDeep says that a tree has more levels than can be copied.
var ErrDeep = fmt.Errorf("directories are more than %d deep: remove those first", maxDepth)

// ErrLinks says that a copy could be much larger than the tree.
var ErrLinks = fmt.Errorf("more than %d files have several names, and are too large to be kept once for each: remove some of the names first", maxLinks)

// Stats is what a tree holds.
type Stats struct {
	Files int64 // of all kinds
	Bytes int64 // as the files say; a file with several names counts once
}

// An inode tells a file with several names.
type inode struct{ dev, ino uint64 }

// openDir opens a directory that is no link.
func openDir(parent int, name string) (*os.File, error) {
	return open(parent, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

func open(parent int, name string, flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(parent, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// lstat tells what is at a name; a link itself.
func lstat(parent int, name string) (unix.Stat_t, error) {
	var s unix.Stat_t
	err := unix.Fstatat(parent, name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return s, err
}

// readlink gives where a link leads.
func readlink(parent int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(parent, name, b)
	return string(b[:max(n, 0)]), err
}

// gone says whether err is that of a name which has been removed, or replaced, since its directory was read.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)
}

// Measure counts what is in a tree.
func Measure(dir string) (Stats, error) {
	top, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return Stats{}, err
	}
	m := measuring{seen: map[inode]bool{}}
	err = m.dir(top, 0)
	return m.Stats, err
}

type measuring struct {
	Stats
	seen map[inode]bool
}

// dir counts what is in d, which it closes.
func (m *measuring) dir(d *os.File, depth int) error {
	defer d.Close()
	if depth > maxDepth {
		return ErrDeep
	}
	return each(d, func(name string) error {
		s, err := lstat(int(d.Fd()), name)
		if err != nil {
			return unlessGone(err)
		}
		m.Files++
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			sub, err := openDir(int(d.Fd()), name)
			if err != nil {
				return unlessGone(err)
			}
			return m.dir(sub, depth+1)
		case unix.S_IFREG:
			id := inode{s.Dev, s.Ino}
			if s.Nlink > 1 && m.seen[id] {
				return nil
			}
			if s.Nlink > 1 && len(m.seen) < maxLinks {
				m.seen[id] = true
			}
			m.Bytes += s.Size
		}
		return nil
	})
}

// each calls f with the names in d.
func each(d *os.File, f func(name string) error) error {
	for {
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}
