package files

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
	"golang.org/x/sys/unix"
)

// inPlace is atLink for what is to be taken out of its directory, which a directory that the server was given cannot be.
func (s *Store) inPlace(op, path string) (root *os.Root, rel string, err error) {
	root, rel, err = s.atLink(op, path)
	if err == nil && rel == "." {
		root.Close()
		return nil, "", refuse(sandbox.Invalid, op, path, "is a directory that the server was given: name something in it")
	}
	return root, rel, err
}

// Move gives what from names the name to; a link is moved itself. Missing parents of to are made. If to exists it is
// replaced in one step if overwrite says so (a directory only by a directory, and only if it is empty), else nothing happens.
// Codes: Invalid (to lies in from, or on another file system), Denied, NotFound, Conflict (to exists, or is not empty).
func (s *Store) Move(from, to string, overwrite bool) error {
	rootA, a, err := s.inPlace("Move", from)
	if err != nil {
		return err
	}
	defer rootA.Close()
	rootB, b, err := s.inPlace("Move", to)
	if err != nil {
		return err
	}
	defer rootB.Close()
	if _, err := rootA.Lstat(a); err != nil {
		return fail("Move", from, err)
	}
	up, _ := split(b)
	made, err := s.mkdirs(rootB, up)
	if err == nil {
		err = move(rootA, a, rootB, b, overwrite)
	}
	if err == nil {
		return nil
	}
	unmake(rootB, made)
	switch {
	case errors.Is(err, syscall.EEXIST) && !overwrite:
		return refuse(sandbox.Conflict, "Move", to, "exists: move with overwrite to replace it")
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
		return refuse(sandbox.Conflict, "Move", to, "is a directory that is not empty: remove it first")
	case errors.Is(err, syscall.EXDEV):
		return refuse(sandbox.Invalid, "Move", to, "is on another file system than %.300q: copy it there, then remove it", from)
	case errors.Is(err, syscall.EINVAL):
		return refuse(sandbox.Invalid, "Move", to, "lies in what is to be moved, %.300q", from)
	}
	return fail("Move", to, err)
}

// move renames between directories that are held open, so that no link can come between.
func move(rootA *os.Root, a string, rootB *os.Root, b string, overwrite bool) error {
	dirA, nameA, err := openParent(rootA, a)
	if err != nil {
		return err
	}
	defer dirA.Close()
	dirB, nameB, err := openParent(rootB, b)
	if err != nil {
		return err
	}
	defer dirB.Close()
	if overwrite {
		return unix.Renameat(int(dirA.Fd()), nameA, int(dirB.Fd()), nameB)
	}
	err = unix.Renameat2(int(dirA.Fd()), nameA, int(dirB.Fd()), nameB, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// Either a directory goes into itself, which the next call says too, or the file system cannot. Then another can still
	// come between the look and the step.
	if _, err := rootB.Lstat(b); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(int(dirA.Fd()), nameA, int(dirB.Fd()), nameB)
}

// openParent opens the directory that rel lies in.
func openParent(root *os.Root, rel string) (dir *os.File, name string, err error) {
	up, name := split(rel)
	dir, err = root.OpenFile(up, openFlags|directoryFlag, 0)
	return dir, name, err
}

// Remove removes a file, an empty directory, or, if recursive, a directory with all that is in it; a link itself, never
// what it leads to. Codes: Invalid, Denied, NotFound, Conflict (a directory that is not empty).
func (s *Store) Remove(path string, recursive bool) error {
	root, rel, err := s.inPlace("Remove", path)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(rel); err != nil { // RemoveAll is content with nothing
		return fail("Remove", path, err)
	}
	if recursive {
		err = root.RemoveAll(rel)
	} else {
		err = root.Remove(rel)
	}
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return refuse(sandbox.Conflict, "Remove", path, "is a directory that is not empty: remove it with recursive")
	}
	if err != nil {
		return fail("Remove", path, err)
	}
	return nil
}

// MakeDir makes a directory and those above it. mode is that of the new directory itself, 0 is 0777 cut by the umask; one
// that is there already stays as it is, or is a Conflict if it must be new.
// Codes: Invalid, Denied, NotFound (a parent is a file), Conflict (path is a file, or not new).
func (s *Store) MakeDir(path string, mode fs.FileMode, mustBeNew bool) error {
	root, rel, err := s.at("MakeDir", path)
	if err != nil {
		return err
	}
	defer root.Close()
	if fi, err := root.Lstat(rel); err == nil && !fi.IsDir() {
		return refuse(sandbox.Conflict, "MakeDir", path, "exists and is no directory: choose another name, or remove it first")
	}
	made, err := s.mkdirs(root, rel)
	isNew := len(made) > 0 && made[len(made)-1] == rel
	if err == nil && mustBeNew && !isNew {
		return refuse(sandbox.Conflict, "MakeDir", path, "exists")
	}
	if err == nil && mode != 0 && isNew {
		err = root.Chmod(rel, mode)
	}
	if err != nil {
		unmake(root, made)
		return fail("MakeDir", path, err)
	}
	return nil
}

// Chmod gives path, links followed, the mode; if recursive also everything below it but links, where a directory gets an
// x for each r of the mode, as without it nobody could enter. What cannot be changed is an error once the rest is done.
// Codes: Invalid, Denied, NotFound.
func (s *Store) Chmod(path string, mode fs.FileMode, recursive bool) error {
	root, rel, err := s.at("Chmod", path)
	if err != nil {
		return err
	}
	defer root.Close()
	fi, err := root.Lstat(rel)
	if err == nil && (!recursive || !fi.IsDir()) {
		err = root.Chmod(rel, mode)
	}
	if err != nil {
		return fail("Chmod", path, err)
	}
	if !recursive || !fi.IsDir() {
		return nil
	}
	top, err := root.OpenRoot(rel)
	if err != nil {
		return fail("Chmod", path, err)
	}
	defer top.Close()
	return s.chmodAll(top, path, mode)
}

func (s *Store) chmodAll(top *os.Root, path string, mode fs.FileMode) error {
	var first error
	note := func(name string, err error) {
		if err != nil && first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = fail("Chmod", path+"/"+name, err)
		}
	}
	var dirs []string // changed last, deepest first: a closed one could not be walked
	note(".", fs.WalkDir(top.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			note(name, err)
		case e.IsDir():
			dirs = append(dirs, name)
		case e.Type() != fs.ModeSymlink:
			note(name, top.Chmod(name, mode))
		}
		return nil
	}))
	for i := len(dirs) - 1; i >= 0; i-- {
		note(dirs[i], top.Chmod(dirs[i], mode|mode&0o444>>2))
	}
	return first
}

func trimSlash(name string) string { return strings.TrimSuffix(name, "/") }
