package trees

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Copying says how a tree is copied.
type Copying struct {
	// Owner says whose a file is to be that is uid's and gid's; nil leaves all to this process's user.
	Owner func(uid, gid uint32) (uint32, uint32)
	// Layer says that the tree is a layer of an overlay: what says in it that something of the layers below is gone is copied too.
	Layer bool
}

// Copy copies what is in the directory from into to, which is made if it is missing; from need not be a path by which others
// could reach it. Contents are shared with the original where the file system can (see ioctl_ficlone(2)), and written in one
// only. Modes (but for set-user-ID and set-group-ID), times, extended attributes of users and several names of one file are
// kept; sockets, pipes and devices are left out. What was copied before an error stays.
func (c Copying) Copy(ctx context.Context, from, to string) (Stats, error) {
	src, err := openDir(unix.AT_FDCWD, from)
	if err != nil {
		return Stats{}, err
	}
	if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return Stats{}, errors.Join(err, src.Close())
	}
	return c.CopyFrom(ctx, src, to)
}

// CopyFrom is Copy from a directory that is open, which it closes, into one that is there.
func (c Copying) CopyFrom(ctx context.Context, src *os.File, to string) (Stats, error) {
	dst, err := openDir(unix.AT_FDCWD, to)
	if err != nil {
		return Stats{}, errors.Join(err, src.Close())
	}
	defer dst.Close()
	w := &copier{Copying: c, top: dst}
	w.walker = walker{ctx: ctx, visit: w.entry, leave: w.finish}
	again, err := openDir(int(dst.Fd()), ".")
	if err != nil {
		return Stats{}, errors.Join(err, src.Close())
	}
	top, err := newLevel("", src, again)
	if err == nil {
		err = w.walk(top)
	}
	return w.Stats, err
}

// copier is one copy under way.
type copier struct {
	Copying
	Stats
	walker
	top   *os.File
	links links
	again int64 // bytes of such files that are not known again
}

// finish makes of a directory that has all that it is to have what the original is.
func (w *copier) finish(l *level) error {
	var s unix.Stat_t
	if err := unix.Fstat(l.src.fd(), &s); err != nil {
		return err
	}
	return w.dress(l.src.f, l.dst.f, s)
}

func (w *copier) entry(l *level, name string) (*level, error) {
	from, to := l.src.fd(), l.dst.fd()
	s, err := lstat(from, name)
	if err != nil {
		return nil, unlessGone(err)
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		sub, err := openDir(from, name)
		if err != nil {
			return nil, unlessGone(err)
		}
		w.Files++
		if err := unix.Mkdirat(to, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, errors.Join(err, sub.Close())
		}
		made, err := openDir(to, name)
		if err != nil {
			return nil, errors.Join(err, sub.Close())
		}
		return newLevel(name, sub, made)
	case unix.S_IFREG:
		return nil, w.file(from, to, name)
	case unix.S_IFLNK:
		return nil, w.link(from, to, name, s)
	case unix.S_IFCHR:
		if w.Layer && s.Rdev == 0 {
			w.Files++
			return nil, unix.Mknodat(to, name, unix.S_IFCHR, 0)
		}
	}
	return nil, nil
}

func (w *copier) link(from, to int, name string, s unix.Stat_t) error {
	target, err := readlink(from, name)
	if err != nil {
		if errors.Is(err, unix.EINVAL) { // it has become something else
			return nil
		}
		return unlessGone(err)
	}
	w.Files++
	if err := unix.Symlinkat(target, to, name); err != nil {
		return err
	}
	if w.Owner != nil {
		uid, gid := w.Owner(s.Uid, s.Gid)
		if err := unix.Fchownat(to, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(to, name, []unix.Timespec{s.Atim, s.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (w *copier) file(from, to int, name string) error {
	src, err := open(from, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return unlessGone(err)
	}
	defer src.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &s); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil // it has become something else
	}
	w.Files++
	if linked, err := w.linked(to, name, s); linked || err != nil {
		return err
	}
	dst, err := open(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.Bytes += s.Size
	err = content(w.ctx, src, dst, s.Size)
	if err == nil {
		err = w.dress(src, dst, s)
	}
	return errors.Join(err, dst.Close())
}

// linked gives a file that has been copied under another name this one too. false if it must be copied.
func (w *copier) linked(to int, name string, s unix.Stat_t) (bool, error) {
	if s.Nlink < 2 {
		return false, nil
	}
	id := inode{s.Dev, s.Ino}
	first, known := w.links.names[id]
	if known && unix.Linkat(int(w.top.Fd()), first, to, name, 0) == nil {
		return true, nil
	}
	at, usable := w.path("", name)
	if known || !usable || !w.links.note(id, at) {
		if w.again += s.Size; w.again > maxAgain {
			return false, ErrLinks
		}
	}
	return false, nil
}

// dress gives a copy the owner, mode, attributes and times of the original.
func (w *copier) dress(src, dst *os.File, s unix.Stat_t) error {
	fd := int(dst.Fd())
	if err := attributes(int(src.Fd()), fd, w.Layer); err != nil {
		return err
	}
	if w.Owner != nil {
		uid, gid := w.Owner(s.Uid, s.Gid)
		if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, s.Mode&0o1777); err != nil {
		return err
	}
	return times(fd, s.Atim, s.Mtim)
}

// times sets them by the descriptor, so that no name is looked up.
func times(fd int, a, m unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), []unix.Timespec{a, m}, 0)
}

// hides is the attribute of a directory in a layer that hides the one below it; see the kernel's document about overlayfs.
const hides = "trusted.overlay.opaque"

// attributes copies those that any user may set, and in a layer the one that means something. A file system that has none of
// them keeps none.
func attributes(from, to int, layer bool) error {
	return eachAttribute(from, func(name string, value []byte) error {
		if !ofUsers(name) && (!layer || name != hides) {
			return nil
		}
		if err := unix.Fsetxattr(to, name, value, 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
		return nil
	})
}

// ofUsers says whether any user may set an attribute, and it means nothing in a layer.
func ofUsers(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// eachAttribute calls f with each of a file that can be read.
func eachAttribute(fd int, f func(name string, value []byte) error) error {
	names := make([]byte, 4<<10)
	n, err := unix.Flistxattr(fd, names)
	if err != nil || n == 0 {
		return nil // there are none, or more than anybody needs
	}
	value := make([]byte, 64<<10) // the most that there can be: XATTR_SIZE_MAX
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			continue
		}
		if err := f(name, value[:n]); err != nil {
			return err
		}
	}
	return nil
}

// content gives dst what src has, and no more than size of it. Holes stay holes.
func content(ctx context.Context, src, dst *os.File, size int64) error {
	if unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil {
		return nil
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	const stride = 64 << 20 // bytes between looks at whether anybody still wants it
	for at := int64(0); at < size; {
		begin, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		} else if err != nil {
			return err
		}
		end, err := unix.Seek(int(src.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, size, begin+stride)
		if end <= begin {
			return nil
		}
		if _, err := dst.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := src.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(dst, io.LimitReader(src, end-begin)); err != nil { // copy_file_range(2) where it can
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		at = end
	}
	return nil
}
