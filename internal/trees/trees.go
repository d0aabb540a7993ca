// Package trees copies, packs and unpacks directories that strangers have written, and archives that they send.
//
// Nothing in such a tree leads out of it: every name is opened below a descriptor of its directory, no link is followed, and
// what is neither file, directory nor link is left out. It may change while it is read, in which case what is read is some
// of both; but it is not waited for. How deep it may be and how much it may hold is bounded, and so is the memory that it
// takes: that grows with the depth, and with the number of files that have several names up to a bound. The number of
// descriptors does not grow.
package trees

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// maxLinks is how many files with several names are known again; beyond it each name gets a file of its own, until
	// such files have maxAgain bytes.
	maxLinks = 1 << 16
	maxAgain = 1 << 30
	// maxNames is how much memory the names take by which they are known again, in bytes.
	maxNames = 32 << 20
)

// ErrDeep says that a tree has more levels than can be copied.
var ErrDeep = fmt.Errorf("directories are more than %d deep: remove those first", maxDepth)

// ErrLinks says that a copy could be much larger than the tree.
var ErrLinks = fmt.Errorf("more than %d files have several names, and are too large to be kept once for each: remove some of the names first", maxLinks)

// Stats is what a tree holds.
type Stats struct {
	Files int64 `json:"files"` // of all kinds
	Bytes int64 `json:"bytes"` // as the files say; a file with several names counts once
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

// links are the files with several names that are known again, by one of them.
type links struct {
	names map[inode]string
	size  int
}

// note takes a file up; false if there is no room for another one.
func (l *links) note(id inode, name string) bool {
	if len(l.names) >= maxLinks || l.size+len(name) > maxNames {
		return false
	}
	if l.names == nil {
		l.names = map[inode]string{}
	}
	l.names[id] = name
	l.size += len(name)
	return true
}

// Measure counts what is in a tree.
func Measure(dir string) (Stats, error) {
	src, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return Stats{}, err
	}
	top, err := newLevel("", src, nil)
	if err != nil {
		return Stats{}, err
	}
	var m Stats
	var seen links
	w := walker{ctx: context.Background(), visit: func(l *level, name string) (*level, error) {
		s, err := lstat(l.src.fd(), name)
		if err != nil {
			return nil, unlessGone(err)
		}
		m.Files++
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			sub, err := openDir(l.src.fd(), name)
			if err != nil {
				return nil, unlessGone(err)
			}
			return newLevel(name, sub, nil)
		case unix.S_IFREG:
			id := inode{s.Dev, s.Ino}
			if s.Nlink > 1 {
				if _, known := seen.names[id]; known {
					return nil, nil
				}
				seen.note(id, "")
			}
			m.Bytes += s.Size
		}
		return nil, nil
	}}
	err = w.walk(top)
	return m, err
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}
