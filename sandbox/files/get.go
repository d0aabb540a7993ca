package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// Get opens one regular file for reading. size is what it has now; a file that others write to may turn out longer or
// shorter. The caller closes it. Codes: Invalid (not a regular file), Denied, NotFound.
func (s *Store) Get(path string) (f *os.File, size int64, err error) {
	root, rel, err := s.at("Get", path)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	f, fi, err := openRegularIn(root, rel)
	if errors.Is(err, syscall.EISDIR) {
		return nil, 0, refuse(sandbox.Invalid, "Get", path, "is a directory: get it as a tree")
	}
	if err != nil {
		return nil, 0, fail("Get", path, err)
	}
	return f, fi.Size(), nil
}

// Put makes or replaces one regular file with what r gives: readers see the old content or the new, and if r fails
// nothing has changed. Missing parents are made. A file that exists keeps its owner, where the server may give files away,
// and its mode, unless mode is other than 0; a new file has mode, or 0666 cut by the umask. A link is followed;
// other names of the same file (hard links) keep the old content.
// Codes: Invalid (not a regular file), Denied, NotFound, Exhausted, Canceled (r failed).
func (s *Store) Put(path string, r io.Reader, mode fs.FileMode) error {
	root, rel, err := s.at("Put", path)
	if err != nil {
		return err
	}
	defer root.Close()
	old, err := root.Lstat(rel)
	switch {
	case err == nil && old.IsDir():
		return refuse(sandbox.Invalid, "Put", path, "is a directory")
	case err == nil && !old.Mode().IsRegular():
		return fail("Put", path, errNotRegular)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fail("Put", path, err)
	}
	dir, name := split(rel)
	made, err := s.mkdirs(root, dir)
	if err == nil {
		err = s.put(root, dir, name, r, mode, old)
	}
	if err != nil {
		unmake(root, made)
		return fail("Put", path, err)
	}
	return nil
}

// put is Put once the way is clear; old is nil if there is no such file.
func (s *Store) put(root *os.Root, dir, name string, r io.Reader, mode fs.FileMode, old fs.FileInfo) error {
	in, err := root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	d, err := newDraft(in, 0o666)
	if err != nil {
		return err
	}
	defer d.Close()
	src := &source{r: r}
	if _, err := stream(d, src); err != nil {
		return src.blame(err)
	}
	if old == nil {
		err = s.own(d.File)
	} else if err = d.like(old); errors.Is(err, syscall.EPERM) {
		err = d.Chmod(old.Mode().Perm()) // of another user, in a directory of ours: the new one is ours
	}
	if err == nil && mode.Perm() != 0 {
		err = d.Chmod(mode.Perm())
	}
	if err != nil {
		return err
	}
	return d.commit(name)
}

// mkdirs makes the directory rel and those above it, and returns those that it made, outermost first.
func (s *Store) mkdirs(root *os.Root, rel string) (made []string, err error) {
	if fi, err := root.Stat(rel); err == nil {
		if !fi.IsDir() {
			return nil, &fs.PathError{Op: "mkdir", Path: rel, Err: syscall.ENOTDIR}
		}
		return nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	up, _ := split(rel)
	if made, err = s.mkdirs(root, up); err != nil {
		return made, err
	}
	err = root.Mkdir(rel, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return made, nil // another was faster
	}
	if err != nil {
		return made, err
	}
	made = append(made, rel)
	if s.gives() {
		err = root.Lchown(rel, s.c.UID, s.c.GID)
	}
	return made, err
}

// unmake removes the directories that mkdirs made, as far as they are empty.
func unmake(root *os.Root, made []string) {
	for i := len(made) - 1; i >= 0; i-- {
		root.Remove(made[i])
	}
}
