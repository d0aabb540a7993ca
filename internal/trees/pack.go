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
	// SHA256 is that of its entries in their order, their names, kinds, permissions, times and contents, and in a layer their owners
	// and attributes, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// entries are those of a part so far.
type entries struct {
	Stats
	sum     hash.Hash
	layered *Layered // nil if it is no layer
}

func newEntries(l *Layered) *entries { return &entries{sum: sha256.New(), layered: l} }

// add takes up an entry; its content is written to sum after that. name is without a slash at its end.
func (e *entries) add(h *tar.Header, name string) {
	e.Files++
	if h.Typeflag == tar.TypeReg {
		e.Bytes += h.Size
	}
	fmt.Fprintf(e.sum, "%c %q %q %o %d %d\n", h.Typeflag, name, h.Linkname, h.Mode, h.Size, h.ModTime.Unix())
	if e.layered != nil {
		e.Bytes += weight(h)
		fmt.Fprintf(e.sum, "%d %d %q\n", h.Uid, h.Gid, records(h))
	}
}

func (e *entries) part() Part { return Part{e.Stats, hex.EncodeToString(e.sum.Sum(nil))} }

// ErrLong says that a file cannot be named in an archive.
var ErrLong = fmt.Errorf("the names that lead to a file have more than %d bytes together: move it up first", unix.PathMax-1)

// ErrAttributes says that a file has too much of them for an archive.
var ErrAttributes = errors.New("its extended attributes are larger than an archive can hold: remove some first")

// Pack writes what is in dir, which it closes, to an archive, named below prefix, which it writes first: directories before what
// is in them. Owners and extended attributes are left out, and so are sockets, pipes and devices. A directory that
// changes meanwhile is an error. If layered is not nil, dir is a layer of an overlay: see there.
func (b Bounds) Pack(ctx context.Context, w *tar.Writer, dir *os.File, prefix string, layered *Layered) (Part, error) {
	p := &packer{bounds: b, w: w, prefix: prefix, entries: newEntries(layered)}
	p.walker = walker{ctx: ctx, visit: p.entry}
	top, err := newLevel("", dir, nil)
	if err != nil {
		return Part{}, err
	}
	err = p.directory(top, "", prefix)
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
func (p *packer) directory(l *level, name, at string) error {
	var s unix.Stat_t
	if err := unix.Fstat(l.src.fd(), &s); err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeDir, Name: at + "/", Mode: int64(s.Mode & 0o1777), ModTime: modified(s)}
	err := p.record(h, name, l.src.fd(), s)
	if err == nil {
		err = p.write(h)
	}
	if err == nil && p.layered != nil {
		err = p.opaque(l, at, s)
	}
	return err
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
			if err = p.directory(below, name, at); err != nil {
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
		h := &tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: target, Mode: 0o777, ModTime: modified(s)}
		if err := p.record(h, name, -1, s); err != nil {
			return nil, err
		}
		return nil, p.write(h)
	case unix.S_IFCHR:
		if p.layered != nil && s.Rdev == 0 {
			return nil, p.gone(at, name, s)
		}
	}
	return nil, nil
}

func modified(s unix.Stat_t) time.Time { return time.Unix(s.Mtim.Sec, 0) }

func (p *packer) write(h *tar.Header) error {
	p.add(h, strings.TrimSuffix(h.Name, "/"))
	if err := p.bounds.check(p.Stats); err != nil {
		return err
	}
	err := p.w.WriteHeader(h)
	if errors.Is(err, tar.ErrFieldTooLong) {
		err = fmt.Errorf("%.300q: %w", h.Name, ErrAttributes)
	}
	return err
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
			h := &tar.Header{Typeflag: tar.TypeLink, Name: at, Linkname: first, ModTime: modified(s)}
			if err := p.record(h, entry, -1, s); err != nil {
				return err
			}
			return p.write(h)
		}
		p.links.note(id, at)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: int64(s.Mode & 0o1777), Size: s.Size, ModTime: modified(s)}
	if err := p.record(h, entry, int(f.Fd()), s); err != nil {
		return err
	}
	if err := p.write(h); err != nil {
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
