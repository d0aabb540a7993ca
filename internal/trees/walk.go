package trees

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A walker goes through a tree with a constant number of descriptors, however deep it is. Of the directories on the way to the
// one that is read, the first few stay open. A deeper one is closed while one below it is read, and found again from there as
// "..", or else by the names that lead to it. It must be the same directory, by the number of its inode: one that was moved away
// meanwhile, by a program that wants to be followed out of the tree or by one that just does so, ends the walk with ErrMoved.
type walker struct {
	ctx   context.Context
	visit func(l *level, name string) (below *level, err error) // below is gone into, and closed
	leave func(l *level) error                                  // all that is in l has been visited; nil does nothing
	stack []*level
	kept  []*level // that were found again by their names, and are open so that those below them need not be found from further up
	buf   []byte
}

const (
	// open levels are those that are never closed before they are left: most trees are no deeper.
	openLevels = 16
	// maxDepth is how deep a tree may be: the longest path that a program can name has 2048 levels, of one letter each.
	maxDepth = 4096
	// readAhead is how much of a directory is in memory at a time, in bytes.
	readAhead = 8 << 10
)

// ErrMoved says that a directory was moved while it was read.
var ErrMoved = errors.New("directories are being moved: try again when no program does so")

// A level is a directory that is gone through, and the one that is made of it, if there is one.
type level struct {
	name     string
	src, dst place
	names    []string // that have been read and not visited
	offset   int64    // from where on there are more
	end      bool     // there are no more
}

// A place is a directory that is open, or was and can be found again.
type place struct {
	f  *os.File // nil if it is closed
	id inode
}

// newPlace takes an open directory.
func newPlace(f *os.File) (place, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return place{}, err
	}
	return place{f, inode{s.Dev, s.Ino}}, nil
}

func (p *place) fd() int { return int(p.f.Fd()) }

func (p *place) close() {
	if p.f != nil {
		p.f.Close()
		p.f = nil
	}
}

// take opens the place as what is at a name, if it is there.
func (p *place) take(at int, name string) error {
	f, err := openDir(at, name)
	if err != nil {
		return err
	}
	again, err := newPlace(f)
	if err == nil && again.id != p.id {
		err = ErrMoved
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.f = f
	return nil
}

// newLevel takes open directories; dst may be nil.
func newLevel(name string, src, dst *os.File) (*level, error) {
	l := &level{name: name}
	var err error
	if l.src, err = newPlace(src); err == nil && dst != nil {
		l.dst, err = newPlace(dst)
	}
	if err != nil {
		src.Close()
		if dst != nil {
			dst.Close()
		}
		return nil, err
	}
	return l, nil
}

func (l *level) close() {
	l.src.close()
	l.dst.close()
}

// walk goes through all that is below top, which it closes.
func (w *walker) walk(top *level) error {
	w.stack = append(w.stack, top)
	w.buf = make([]byte, readAhead)
	defer func() {
		for _, l := range slices.Concat(w.stack, w.kept) {
			l.close()
		}
	}()
	for len(w.stack) > 0 {
		if err := context.Cause(w.ctx); err != nil {
			return err
		}
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// step visits the next name, or leaves a directory.
func (w *walker) step() error {
	l := w.stack[len(w.stack)-1]
	name, err := w.next(l)
	if err != nil {
		return w.where(err, "")
	}
	if name == "" {
		return w.where(w.pop(), "")
	}
	below, err := w.visit(l, name)
	if err != nil || below == nil {
		return w.where(err, name)
	}
	if len(w.stack) > maxDepth {
		below.close()
		return ErrDeep
	}
	if len(w.stack) > openLevels {
		l.close()
	}
	w.stack = append(w.stack, below)
	return nil
}

// where says of an error what at the top of the tree it is about.
func (w *walker) where(err error, name string) error {
	if err == nil || errors.Is(err, ErrDeep) {
		return err
	}
	if len(w.stack) > 1 {
		name = w.stack[1].name
	}
	if name == "" {
		return err
	}
	return fmt.Errorf("%.300q: %w", name, err)
}

// pop leaves the last level. The one above is opened first: once a directory has the permissions that it is to have, it may be
// one that leads nowhere.
func (w *walker) pop() error {
	last := len(w.stack) - 1
	l := w.stack[last]
	if last > 0 && !w.stack[last-1].isOpen() {
		if err := w.reopen(last - 1); err != nil {
			return err
		}
	}
	if w.leave != nil {
		if err := w.leave(l); err != nil {
			return err
		}
	}
	l.close()
	w.stack = w.stack[:last]
	return nil
}

// next gives the next name in a directory that is open, "" if there is none.
func (w *walker) next(l *level) (string, error) {
	for len(l.names) == 0 {
		if l.end {
			return "", nil
		}
		n, err := unix.Getdents(l.src.fd(), w.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT): // it has been removed
			n = 0
		case err != nil:
			return "", os.NewSyscallError("getdents", err)
		}
		if n == 0 {
			l.end = true
			continue
		}
		_, _, l.names = unix.ParseDirent(w.buf[:n], -1, nil)
		if l.offset, err = l.src.f.Seek(0, 1); err != nil {
			return "", err
		}
	}
	name := l.names[0]
	l.names = l.names[1:]
	return name, nil
}

// path is that of a name in the last level, below prefix; false if it is too long to be used.
func (w *walker) path(prefix, name string) (string, bool) {
	size := len(prefix) + len(name) + 1
	for _, l := range w.stack[1:] {
		if size += len(l.name) + 1; size >= unix.PathMax {
			return "", false
		}
	}
	var b strings.Builder
	b.Grow(size)
	for _, part := range w.stack[1:] {
		b.WriteString(part.name)
		b.WriteByte('/')
	}
	b.WriteString(name)
	if prefix == "" {
		return b.String(), size < unix.PathMax
	}
	return prefix + "/" + b.String(), size < unix.PathMax
}
