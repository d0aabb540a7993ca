package trees

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
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

// A Part is what an archive holds of one directory, which is counted itself.
type Part struct {
	Stats
	// SHA256 is that of its entries in their order, their names, kinds, permissions, times and contents, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// entries are those of a part so far.
type entries struct {
	Stats
	sum hash.Hash
}

func newEntries() *entries { return &entries{sum: sha256.New()} }

// add takes up an entry; its content is written to sum after that. name is without a slash at its end.
func (e *entries) add(h *tar.Header, name string) {
	e.Files++
	if h.Typeflag == tar.TypeReg {
		e.Bytes += h.Size
	}
	fmt.Fprintf(e.sum, "%c %q %q %o %d %d\n", h.Typeflag, name, h.Linkname, h.Mode, h.Size, h.ModTime.Unix())
}

func (e *entries) part() Part { return Part{e.Stats, hex.EncodeToString(e.sum.Sum(nil))} }

// ErrLong says that a file cannot be named in an archive.
var ErrLong = fmt.Errorf("the names that lead to a file have more than %d bytes together: move it up first", unix.PathMax-1)

// Pack writes what is in dir, which it closes, to an archive, named below prefix, which it writes first: directories before what
// is in them. Owners and extended attributes are left out, and so are sockets, pipes and devices. A directory that
// changes meanwhile is an error.
func (b Bounds) Pack(ctx context.Context, w *tar.Writer, dir *os.File, prefix string) (Part, error) {
	p := &packer{bounds: b, w: w, prefix: prefix, entries: newEntries()}
	p.walker = walker{ctx: ctx, visit: p.entry}
	top, err := newLevel("", dir, nil)
	if err != nil {
		return Part{}, err
	}
	err = p.directory(top, prefix)
	if err == nil {
		err = p.walk(top)
	} else {
		top.close()
	}
	return p.part(), err
}

type packer struct {
	*entries
	walker
	bounds Bounds
	w      *tar.Writer
	prefix string
	links  links // by their names in the archive
}

// directory writes one that is open.
func (p *packer) directory(l *level, name string) error {
	var s unix.Stat_t
	if err := unix.Fstat(l.src.fd(), &s); err != nil {
		return err
	}
	return p.header(tar.TypeDir, name+"/", s)
}

func (p *packer) entry(l *level, name string) (*level, error) {
	s, err := lstat(l.src.fd(), name)
	if err != nil {
		return nil, err
	}
	at, usable := p.path(p.prefix, name)
	if !usable {
		return nil, ErrLong
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		sub, err := openDir(l.src.fd(), name)
		if err != nil {
			return nil, err
		}
		below, err := newLevel(name, sub, nil)
		if err == nil {
			if err = p.directory(below, at); err != nil {
				below.close()
			}
		}
		return below, err
	case unix.S_IFREG:
		return nil, p.file(l.src.fd(), name, at)
	case unix.S_IFLNK:
		target, err := readlink(l.src.fd(), name)
		if err != nil {
			return nil, err
		}
		return nil, p.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: target, Mode: 0o777, ModTime: modified(s)})
	}
	return nil, nil
}

func modified(s unix.Stat_t) time.Time { return time.Unix(s.Mtim.Sec, 0) }

func (p *packer) header(kind byte, name string, s unix.Stat_t) error {
	h := &tar.Header{Typeflag: kind, Name: name, Mode: int64(s.Mode & 0o1777), ModTime: modified(s)}
	if kind == tar.TypeReg {
		h.Size = s.Size
	}
	return p.write(h)
}

func (p *packer) write(h *tar.Header) error {
	p.add(h, strings.TrimSuffix(h.Name, "/"))
	if err := p.bounds.check(p.Stats); err != nil {
		return err
	}
	return p.w.WriteHeader(h)
}

func (p *packer) file(d int, entry, at string) error {
	f, err := open(d, entry, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
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
		if first, ok := p.links.names[id]; ok {
			return p.write(&tar.Header{Typeflag: tar.TypeLink, Name: at, Linkname: first, ModTime: modified(s)})
		}
		p.links.note(id, at)
	}
	if err := p.header(tar.TypeReg, at, s); err != nil {
		return err
	}
	n, err := io.Copy(io.MultiWriter(p.w, p.sum), io.LimitReader(f, s.Size))
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
