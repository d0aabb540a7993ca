package trees

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unpacking says how an archive is unpacked that Pack has made, or somebody who wishes us ill.
type Unpacking struct {
	Bounds
	Parts []string // the only names that may be at the top, of directories
	// UID and GID own what is unpacked; negative leaves it to this process's user.
	UID, GID int
	// Layers are those of Parts that are layers of an overlay, which only root can unpack; Layered is not nil then.
	Layers  []string
	Layered *Layered
	// End is the name of a file at the top with which the archive must end. It is left to be read; "" is none.
	End string
}

// Unpack unpacks the rest of an archive into a directory that is there and that nobody else writes to. A name that is
// absolute, has "..", leads through a link or is there already, a directory that was not named before what is in it, a link
// to what is no file of the archive, or in another part, and anything but files, directories and links is ErrArchive; more than
// there may be is ErrMuch. What there is in each part is told. Where symbolic links lead does not matter to it. Permissions and times
// are kept, but for set-user-ID and set-group-ID, and a directory's owner always may use it; see Layered for layers. What was unpacked
// before an error stays.
func (u Unpacking) Unpack(ctx context.Context, r *tar.Reader, into string) (map[string]Part, error) {
	top, err := openDir(unix.AT_FDCWD, into)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	w := &unpacker{Unpacking: u, top: int(top.Fd()), parts: map[string]*entries{}}
	for {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && u.End == "", err == nil && u.End != "" && h.Name == u.End:
			return w.unpacked(), nil
		case errors.Is(err, io.EOF):
			return nil, errArchive(u.End, "it is missing, with what may have been before it")
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = w.entry(h, r)
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
			err = errArchive("", err.Error())
		}
		if err != nil {
			return nil, err
		}
	}
}

type unpacker struct {
	Unpacking
	Stats
	top   int
	parts map[string]*entries
}

func (w *unpacker) unpacked() map[string]Part {
	all := map[string]Part{}
	for name, e := range w.parts {
		all[name] = e.part()
	}
	return all
}

// part is the one that a name is in.
func (w *unpacker) part(name string) *entries {
	first, _, _ := strings.Cut(name, "/")
	if w.parts[first] == nil {
		w.parts[first] = newEntries(w.layered(name))
	}
	return w.parts[first]
}

// layered is how the layer is unpacked that a name is in; nil if it is in none.
func (w *unpacker) layered(name string) *Layered {
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(w.Layers, first) {
		return w.Layered
	}
	return nil
}

func (w *unpacker) entry(h *tar.Header, r io.Reader) error {
	name, err := w.name(h.Name)
	if err != nil {
		return err
	}
	if HasHoles(h) {
		return errArchive(name, "it has holes")
	}
	w.Files++
	if h.Typeflag == tar.TypeReg {
		w.Bytes += h.Size
	}
	if w.layered(name) != nil {
		w.Bytes += weight(h)
	}
	if err := w.check(w.Stats); err != nil {
		return err
	}
	if !strings.Contains(name, "/") && h.Typeflag != tar.TypeDir {
		return errArchive(name, "it is no directory")
	}
	part := w.part(name)
	part.add(h, name)
	parent, err := w.parent(name)
	if err != nil {
		return err
	}
	defer parent.Close()
	err = w.make(int(parent.Fd()), name, h, io.TeeReader(r, part.sum))
	if errors.Is(err, unix.EEXIST) {
		return errArchive(name, "it is there twice")
	}
	if errors.Is(err, unix.ENAMETOOLONG) {
		return errArchive(name, "its name is too long")
	}
	return err
}

// make makes what an entry is, in the directory that it is in.
func (w *unpacker) make(at int, name string, h *tar.Header, r io.Reader) error {
	base := path.Base(name)
	if w.layered(name) != nil {
		if marked, err := mark(at, base, name, h); marked || err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return w.file(at, base, name, h, r)
	case tar.TypeDir:
		return w.dir(at, base, name, h)
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) >= unix.PathMax {
			return errArchive(name, "it leads nowhere")
		}
		err := unix.Symlinkat(h.Linkname, at, base)
		if err == nil {
			when := whenOf(h)
			err = errors.Join(w.own(at, base, name, h), unix.UtimesNanoAt(at, base, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW))
		}
		return err
	case tar.TypeLink:
		return w.link(at, base, name, h.Linkname)
	}
	return errArchive(name, "it is neither file, directory nor link")
}

// HasHoles says that a file of an archive is as large as its header says, whatever there is of it in the archive.
func HasHoles(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// name gives a name as the tree has it.
func (w *unpacker) name(s string) (string, error) {
	s = strings.TrimSuffix(s, "/")
	if len(s) >= unix.PathMax || s == "" || s != path.Clean(s) || !filepath.IsLocal(s) || strings.ContainsRune(s, 0) {
		return "", errArchive(s[:min(len(s), 300)], "it is no name of a file below")
	}
	if first, _, _ := strings.Cut(s, "/"); !slices.Contains(w.Parts, first) {
		return "", errArchive(s, "it does not belong there")
	}
	if strings.Count(s, "/") > maxDepth {
		return "", ErrDeep
	}
	return s, nil
}

// parent opens the directory that a name is in. No link is on the way to it.
func (w *unpacker) parent(name string) (*os.File, error) {
	dir := path.Dir(name)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(w.top, dir, &how)
	switch {
	case gone(err):
		return nil, errArchive(name, "it is in no directory of the archive")
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// own gives a symbolic link its owner.
func (w *unpacker) own(at int, base, name string, h *tar.Header) error {
	uid, gid := w.UID, w.GID
	if l := w.layered(name); l != nil {
		var err error
		if uid, gid, err = l.owner(h, name); err != nil {
			return err
		}
	}
	if uid < 0 {
		return nil
	}
	return unix.Fchownat(at, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

func (w *unpacker) dir(at int, base, name string, h *tar.Header) error {
	if err := unix.Mkdirat(at, base, 0o700); err != nil {
		return err
	}
	d, err := openDir(at, base)
	if err != nil {
		return err
	}
	defer d.Close()
	return w.dress(d, h, name, 0o700)
}

func (w *unpacker) file(at int, base, name string, h *tar.Header, r io.Reader) error {
	f, err := open(at, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := w.dress(f, h, name, 0); err != nil {
		return err
	}
	when := whenOf(h)
	if err := times(int(f.Fd()), when, when); err != nil {
		return err
	}
	return f.Close()
}

// whenOf is when an entry was modified, or now if the file system may not be able to say so.
func whenOf(h *tar.Header) unix.Timespec {
	if h.ModTime.Year() < 1970 || h.ModTime.Year() > 2200 {
		return unix.NsecToTimespec(time.Now().UnixNano())
	}
	return unix.NsecToTimespec(h.ModTime.UnixNano())
}

// link gives a file of the archive another name.
func (w *unpacker) link(at int, base, name, to string) error {
	to, err := w.name(to)
	if err != nil {
		return err
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.HasPrefix(name, first+"/") { // a file is in one part, and in one layer
		return errArchive(name, "it is a link to another part of the archive")
	}
	parent, err := w.parent(to)
	if err != nil {
		return err
	}
	defer parent.Close()
	s, err := lstat(int(parent.Fd()), path.Base(to))
	if err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
		return errArchive(name, "it is a link to what is no file of the archive")
	}
	err = unix.Linkat(int(parent.Fd()), path.Base(to), at, base, 0)
	if errors.Is(err, unix.EEXIST) {
		return errArchive(name, "it is there twice")
	}
	return err
}
