package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// PutTree unpacks a tar archive below the directory path. If path does not exist, the archive is unpacked beside it under
// a name that begins with ".sandtree-" and takes its place when it is whole; otherwise nothing is left. If path exists,
// each entry replaces what has its name, files atomically, and what was unpacked before an error stays.
// An archive may have directories, regular files, links to files of the directory, and symbolic links that stay inside: any
// other entry, and a name that leads outside, is Invalid. No entry is larger than the archive has bytes for, so sparse
// files are Invalid too. Permissions and times are kept; owners and other mode bits are not.
// Codes: Invalid, Denied, NotFound, Conflict (path came to exist meanwhile), Exhausted, Canceled (r failed).
func (s *Store) PutTree(path string, r io.Reader) error {
	root, rel, err := s.at("PutTree", path)
	if err != nil {
		return err
	}
	defer root.Close()
	fi, err := root.Lstat(rel)
	switch {
	case err == nil && !fi.IsDir():
		return refuse(sandbox.Invalid, "PutTree", path, "is not a directory")
	case err == nil:
		top, names, err := s.openTree("PutTree", path)
		if err != nil {
			return err
		}
		defer top.Close()
		err = s.untar(top, names, false, r)
		if err != nil {
			return fail("PutTree", path, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fail("PutTree", path, err)
	}
	up, _ := split(rel)
	made, err := s.mkdirs(root, up)
	if err == nil {
		err = s.newTree(root, up, rel, r)
	}
	if err != nil {
		unmake(root, made)
		return fail("PutTree", path, err)
	}
	return nil
}

// newTree unpacks beside rel, in up, and moves the whole to its place.
func (s *Store) newTree(root *os.Root, up, rel string, r io.Reader) (err error) {
	tmp := up + "/" + draftName()
	if _, err := s.mkdirs(root, tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.RemoveAll(tmp))
		}
	}()
	top, err := root.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := s.untar(top, nil, true, r); err != nil {
		return err
	}
	return root.Rename(tmp, rel)
}

func (s *Store) untar(top *os.Root, names []string, fresh bool, r io.Reader) error {
	src := &source{r: r}
	t := tar.NewReader(src)
	u := &unpacker{s: s, root: top, names: names, fresh: fresh}
	defer u.close()
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			return u.finish()
		}
		if err == nil && n >= s.c.MaxEntries {
			err = &sandbox.Error{Code: sandbox.Invalid, Op: "files.PutTree", Err: fmt.Errorf("the archive has more than %d entries: send it in parts", s.c.MaxEntries)}
		}
		if err == nil {
			err = u.untarEntry(h, t)
		}
		if err != nil {
			return src.blame(badTar(err))
		}
	}
}

func (u *unpacker) untarEntry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // as in archives that git makes
		return nil
	}
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return badEntry(name, "is a sparse file")
		}
	}
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeReg:
		return u.writeFile(name, mode, h.ModTime, h.Size, r)
	case tar.TypeDir:
		return u.makeDir(name, mode)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		old, err := entryName(h.Linkname)
		if err != nil {
			return badEntry(name, fmt.Sprintf("is a link to %.300q", h.Linkname))
		}
		return u.link(name, old)
	}
	return badEntry(name, "is neither file, directory nor link")
}

// badTar makes the errors of a broken archive Invalid; those of the system stay what they are.
func badTar(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "files.PutTree", Err: fmt.Errorf("the archive is broken: %w", err)}
	}
	return err
}
