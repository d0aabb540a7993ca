package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/sandtree/sandtree/sandbox"
)

// pack writes a local directory as a tar archive, names relative to it. Links are kept as links; what is neither file,
// directory nor link is left out.
func pack(dir string, w io.Writer) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." {
			return err
		}
		return packEntry(t, name, filepath.ToSlash(rel), e)
	})
	return errors.Join(err, t.Close())
}

func packEntry(t *tar.Writer, name, rel string, e fs.DirEntry) error {
	stat, err := e.Info()
	if err != nil {
		return err
	}
	link := ""
	switch {
	case stat.Mode()&fs.ModeSymlink != 0:
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	case !stat.IsDir() && !stat.Mode().IsRegular():
		return nil
	}
	h, err := tar.FileInfoHeader(stat, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = rel, "", ""
	h.Uid, h.Gid = 0, 0 // owners here mean nothing there
	if stat.IsDir() {
		h.Name += "/"
	}
	if err := t.WriteHeader(h); err != nil || !stat.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(t, f, h.Size)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s has become shorter while it was read", name)
	}
	return err
}

// unpack reads a tar archive below a local directory, which is made. Whatever the archive says, nothing outside is
// written to: a runtime is not to be trusted with our files.
func unpack(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackEntry(root, h, t)
		}
		if err != nil {
			return err
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "unpack", Err: fmt.Errorf("%q leads outside", h.Name)}
	}
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, mode|0o700)
	case tar.TypeSymlink:
		return replace(root, name, func() error { return root.Symlink(h.Linkname, name) })
	case tar.TypeLink:
		return replace(root, name, func() error { return root.Link(path.Clean(h.Linkname), name) })
	case tar.TypeReg:
		return replace(root, name, func() error { return unpackFile(root, name, mode, content) })
	}
	return nil // devices and the like are not for us
}

// replace takes away what has the name, unless it is a directory, and puts something else there.
func replace(root *os.Root, name string, put func() error) error {
	if stat, err := root.Lstat(name); err == nil && !stat.IsDir() {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	return put()
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
