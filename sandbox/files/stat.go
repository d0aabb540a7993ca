package files

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// An Entry is what a directory says of one of its names.
type Entry struct {
	Name     string
	Type     string // file, dir, link, pipe, socket or device
	Size     int64  // bytes
	Mode     string // octal, four digits: permissions with setuid, setgid and sticky
	MTime    time.Time
	UID, GID int
	Target   string // of a link, as it is written there
	ETag     string // of a regular file
}

// ETag is the entity tag of a regular file. Another is given to the file by every change of its content that this package
// makes (see stamp) and by every one that the clock of its file system tells apart: before Linux 6.13, and on file systems
// that have not followed it, two of one size made by others within one tick, some 4 ms, look alike.
func ETag(fi fs.FileInfo) string {
	st := fi.Sys().(*syscall.Stat_t)
	b := append(make([]byte, 0, 80), '"')
	for i, n := range []int64{int64(st.Ino), st.Size, st.Mtim.Nano(), st.Ctim.Nano()} {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(n), 36)
	}
	return string(append(b, '"'))
}

func newEntry(name string, fi fs.FileInfo) Entry {
	st := fi.Sys().(*syscall.Stat_t)
	e := Entry{Name: name, Type: typeOf(fi.Mode()), Size: fi.Size(), Mode: fmt.Sprintf("%04o", st.Mode&0o7777),
		MTime: fi.ModTime().UTC(), UID: int(st.Uid), GID: int(st.Gid)}
	if fi.Mode().IsRegular() {
		e.ETag = ETag(fi)
	}
	return e
}

func typeOf(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "dir"
	case fs.ModeSymlink:
		return "link"
	case fs.ModeNamedPipe:
		return "pipe"
	case fs.ModeSocket:
		return "socket"
	}
	return "device"
}

// ParseMode reads a mode as chmod(1) takes it, octal: up to three digits of permissions, and before them one of setuid (4),
// setgid (2) and sticky (1). Code: Invalid.
func ParseMode(octal string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(octal, 8, 12)
	if err != nil {
		return 0, refuse(sandbox.Invalid, "ParseMode", octal, "is no mode: send three or four octal digits")
	}
	mode := fs.FileMode(n & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= flag
		}
	}
	return mode, nil
}

// entryAt describes rel below root; a link is described itself.
func entryAt(root *os.Root, rel, name string) (Entry, error) {
	fi, err := root.Lstat(rel)
	if err != nil {
		return Entry{}, err
	}
	e := newEntry(name, fi)
	if e.Type == "link" {
		if e.Target, err = root.Readlink(rel); err != nil {
			return Entry{}, err
		}
	}
	return e, nil
}

// Stat describes what path names: a link itself, or, if follow, what it leads to, which must lie inside.
// Codes: Invalid, Denied, NotFound.
func (s *Store) Stat(path string, follow bool) (Entry, error) {
	at := s.atLink
	if follow {
		at = s.at
	}
	root, rel, err := at("Stat", path)
	if err != nil {
		return Entry{}, err
	}
	defer root.Close()
	_, name := split(tidy(path))
	e, err := entryAt(root, rel, name)
	if err != nil {
		return Entry{}, fail("Stat", path, err)
	}
	return e, nil
}

// ListEntries describes the entries of a directory in the order of List. They are looked at one by one while the sequence
// is taken; what has gone meanwhile is left out. The sequence can be taken once, and must be, to its end or a break.
// Codes: Invalid, Denied, NotFound.
func (s *Store) ListEntries(path string) (iter.Seq[Entry], error) {
	root, rel, err := s.at("List", path)
	if err != nil {
		return nil, err
	}
	top, err := root.OpenRoot(rel)
	root.Close()
	if err != nil {
		return nil, fail("List", path, err)
	}
	found, err := listIn(top, ".")
	if err != nil {
		top.Close()
		return nil, fail("List", path, err)
	}
	return func(yield func(Entry) bool) {
		defer top.Close()
		for _, name := range found {
			name = trimSlash(name)
			if e, err := entryAt(top, name, name); err == nil && !yield(e) {
				return
			}
		}
	}, nil
}

// atLink is at, but leaves the last name of path as it is, so that a link is met itself.
func (s *Store) atLink(op, path string) (root *os.Root, rel string, err error) {
	if err := checkPath(path); err != nil {
		return nil, "", refuse(sandbox.Invalid, op, path, "%w", err)
	}
	p := tidy(path)
	dir, name := split(p)
	if _, rest := s.place(p); rest == "." || name == ".." {
		return s.at(op, path)
	}
	root, rel, err = s.at(op, dir)
	if err != nil {
		return nil, "", err
	}
	if rel == "." {
		return root, name, nil
	}
	return root, rel + "/" + name, nil
}
