package trees

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds are how much an archive may hold; zero of either is any number.
type Bounds struct {
	Files int64 // of all kinds
	Bytes int64 // of content
}

// ErrMuch says that an archive has more than it may.
var ErrMuch = errors.New("it holds more than it may")

func (b Bounds) check(s Stats) error {
	switch {
	case b.Files > 0 && s.Files > b.Files:
		return fmt.Errorf("%w: %d files", ErrMuch, b.Files)
	case b.Bytes > 0 && s.Bytes > b.Bytes:
		return fmt.Errorf("%w: %d bytes", ErrMuch, b.Bytes)
	}
	return nil
}

// Pack writes what is in dir, which it closes, to an archive, named below prefix, which it writes first: directories before what
// is in them. Owners and extended attributes are left out, and so are sockets, pipes and devices. A directory that
// changes meanwhile is an error.
func (b Bounds) Pack(ctx context.Context, w *tar.Writer, dir *os.File, prefix string) (Stats, error) {
	p := &packer{bounds: b, ctx: ctx, w: w, names: map[inode]string{}}
	err := p.dir(dir, prefix, 0)
	return p.Stats, err
}

type packer struct {
	bounds Bounds
	Stats
	ctx   context.Context
	w     *tar.Writer
	names map[inode]string // in the archive, of files with several
}

// dir writes d, which it closes.
func (p *packer) dir(d *os.File, name string, depth int) error {
	defer d.Close()
	if depth > maxDepth {
		return ErrDeep
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &s); err != nil {
		return err
	}
	if err := p.header(tar.TypeDir, name+"/", s); err != nil {
		return err
	}
	return each(d, func(entry string) error {
		if err := context.Cause(p.ctx); err != nil {
			return err
		}
		s, err := lstat(int(d.Fd()), entry)
		if err != nil {
			return err
		}
		at := path.Join(name, entry)
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			sub, err := openDir(int(d.Fd()), entry)
			if err != nil {
				return err
			}
			return p.dir(sub, at, depth+1)
		case unix.S_IFREG:
			return p.file(d, entry, at)
		case unix.S_IFLNK:
			target, err := readlink(int(d.Fd()), entry)
			if err != nil {
				return err
			}
			return p.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: target, Mode: 0o777, ModTime: modified(s)})
		}
		return nil
	})
}

func modified(s unix.Stat_t) time.Time { return time.Unix(s.Mtim.Unix()) }

func (p *packer) header(kind byte, name string, s unix.Stat_t) error {
	h := &tar.Header{Typeflag: kind, Name: name, Mode: int64(s.Mode & 0o1777), ModTime: modified(s)}
	if kind == tar.TypeReg {
		h.Size = s.Size
	}
	return p.write(h)
}

func (p *packer) write(h *tar.Header) error {
	p.Files++
	p.Bytes += h.Size
	if err := p.bounds.check(p.Stats); err != nil {
		return err
	}
	return p.w.WriteHeader(h)
}

func (p *packer) file(d *os.File, entry, at string) error {
	f, err := open(int(d.Fd()), entry, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%.300q has become something else", at)
	}
	id := inode{s.Dev, s.Ino}
	if s.Nlink > 1 {
		if first, ok := p.names[id]; ok {
			return p.write(&tar.Header{Typeflag: tar.TypeLink, Name: at, Linkname: first, ModTime: modified(s)})
		}
		if len(p.names) < maxLinks {
			p.names[id] = at
		}
	}
	if err := p.header(tar.TypeReg, at, s); err != nil {
		return err
	}
	n, err := io.Copy(p.w, io.LimitReader(f, s.Size))
	if err == nil && n < s.Size {
		err = fmt.Errorf("%.300q has become shorter", at)
	}
	return err
}

// errArchive is the error of an archive that is not as Pack makes it.
func errArchive(name, why string) error {
	return &fs.PathError{Op: "unpack", Path: name, Err: fmt.Errorf("%w: %s", ErrArchive, why)}
}

// ErrArchive says that an archive is broken, or made to do harm.
var ErrArchive = errors.New("the archive cannot be unpacked")
