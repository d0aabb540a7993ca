package files

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// GetTree writes the directory path as a tar archive to w: directories, regular files and the symbolic links that stay
// inside, all named relative to path, each directory before what is in it, in the order of names. It holds nothing that
// PutTree refuses: links that lead outside, sockets, FIFOs and devices are left out, owners are not recorded. A link by an
// absolute path into the directory becomes relative. Of a file that shrinks meanwhile the rest is zeros, as tar has it.
// What cannot be read ends the archive with an error: a copy that lacks a file without saying so is worse than none.
// Codes: Invalid (not a directory), Denied, NotFound; w's own error is returned as it is.
func (s *Store) GetTree(path string, w io.Writer) error {
	top, names, err := s.openTree("GetTree", path)
	if err != nil {
		return err
	}
	defer top.Close()
	to := &sink{w: w}
	t := tar.NewWriter(to)
	err = fs.WalkDir(top.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && name != "." {
			err = addToTar(t, top, names, name)
		}
		switch {
		case err == nil || to.err != nil:
			return err
		case errors.Is(err, fs.ErrNotExist) && name != ".":
			return nil // gone since its directory was read
		}
		return fail("GetTree", path+"/"+name, err)
	})
	if to.err != nil {
		return to.err
	}
	if err != nil {
		return err
	}
	return t.Close()
}

// openTree opens the directory path; names are absolute ones that it has.
func (s *Store) openTree(op, path string) (*os.Root, []string, error) {
	root, rel, err := s.at(op, path)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	fi, err := root.Lstat(rel)
	if err != nil {
		return nil, nil, fail(op, path, err)
	}
	if !fi.IsDir() {
		return nil, nil, refuse(sandbox.Invalid, op, path, "is not a directory")
	}
	top, err := root.OpenRoot(rel)
	if err != nil {
		return nil, nil, fail(op, path, err)
	}
	p, _ := s.place(tidy(path))
	names := []string{tidy(p.dir + "/" + rel)}
	if real := tidy(root.Name() + "/" + rel); real != names[0] {
		names = append(names, real)
	}
	return top, names, nil
}

func addToTar(t *tar.Writer, top *os.Root, names []string, name string) error {
	fi, err := top.Lstat(name)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(fi.Mode().Perm()), ModTime: fi.ModTime()}
	switch {
	case fi.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case fi.Mode().Type() == fs.ModeSymlink:
		to, err := top.Readlink(name)
		if err != nil {
			return err
		}
		for _, dir := range names {
			if rest, ok := below(dir, to); ok {
				to = strings.Repeat("../", strings.Count(name, "/")) + rest
				break
			}
		}
		if checkLink(name, to) != nil {
			return nil
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, to
	case fi.Mode().IsRegular():
		return addFileToTar(t, top, name, h)
	default:
		return nil
	}
	return t.WriteHeader(h)
}

func addFileToTar(t *tar.Writer, top *os.Root, name string, h *tar.Header) error {
	f, fi, err := openRegularIn(top, name)
	if err != nil {
		if errors.Is(err, errNotRegular) || errors.Is(err, syscall.EISDIR) {
			return nil // no longer what it was
		}
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, fi.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	n, err := stream(t, io.LimitReader(f, h.Size))
	if err != nil {
		return err
	}
	_, err = stream(t, io.LimitReader(zeros{}, h.Size-n))
	return err
}

// zeros reads as zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
