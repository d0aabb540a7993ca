package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// Get opens one regular file for reading. info has the size that it has now; a file that others write to may turn out
// longer or shorter. The caller closes it. Codes: Invalid (not a regular file), Denied, NotFound.
func (s *Store) Get(path string) (f *os.File, info fs.FileInfo, err error) {
	root, rel, err := s.at("Get", path)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, info, err = openRegularIn(root, rel)
	if errors.Is(err, syscall.EISDIR) {
		return nil, nil, refuse(sandbox.Invalid, "Get", path, "is a directory: get it as a tree")
	}
	if err != nil {
		return nil, nil, fail("Get", path, err)
	}
	return f, info, nil
}

// PutOptions say how a file is put; the zero value makes it or replaces it.
type PutOptions struct {
	Mode fs.FileMode // permissions; 0 are those of the file before, or 0666 cut by the umask

	// Matches says whether a file with that entity tag may be replaced, "" being that there is none. It is asked before
	// anything is read and again before the file takes its place, with no other request of this Store in between; nil always may.
	Matches func(etag string) bool
}

// Put makes or replaces one regular file with what r gives: readers see the old content or the new, and if r fails
// nothing has changed. Missing parents are made. A file that exists keeps its owner, where the server may give files away,
// and its mode, unless there is another in the options; a new one belongs to the configured owner. A link is followed;
// other names of the same file (hard links) keep the old content. The answer is the new file's entity tag.
// Codes: Invalid (not a regular file), Denied, NotFound, Conflict (the options do not match), Exhausted, Canceled (r failed).
func (s *Store) Put(path string, r io.Reader, o PutOptions) (etag string, err error) {
	return s.into("Put", path, o, func(root *os.Root, rel string) (string, error) {
		dir, name := split(rel)
		return s.put(root, dir, name, path, r, o)
	})
}

// into has do write the regular file that path names, which may be missing, as rel below root. Missing parents are made,
// and go again if it fails and nothing is in them.
func (s *Store) into(op, path string, o PutOptions, do func(root *os.Root, rel string) (string, error)) (etag string, err error) {
	root, rel, err := s.at(op, path)
	if err != nil {
		return "", err
	}
	defer root.Close()
	old, err := target(root, rel)
	if err == nil {
		err = o.check(op, path, old)
	}
	var made []string
	if err == nil {
		up, _ := split(rel)
		made, err = s.mkdirs(root, up)
	}
	if err == nil {
		etag, err = do(root, rel)
	}
	switch {
	case err == nil:
		return etag, nil
	case errors.Is(err, syscall.EISDIR):
		err = refuse(sandbox.Invalid, op, path, "is a directory")
	default:
		err = fail(op, path, err)
	}
	unmake(root, made)
	return "", err
}

// target looks at the file that is to be replaced; it is nil if there is none.
func target(root *os.Root, rel string) (fs.FileInfo, error) {
	old, err := root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = regular(old)
	}
	return old, err
}

func (o PutOptions) check(op, path string, old fs.FileInfo) error {
	etag := ""
	if old != nil {
		etag = ETag(old)
	}
	switch {
	case o.Matches == nil || o.Matches(etag):
		return nil
	case old == nil:
		return refuse(sandbox.Conflict, op, path, "does not exist, and was to be replaced: look at it again")
	}
	return refuse(sandbox.Conflict, op, path, "exists, with the entity tag %s: look at it again", etag)
}

// put is Put once the way is clear.
func (s *Store) put(root *os.Root, dir, name, path string, r io.Reader, o PutOptions) (etag string, err error) {
	in, err := root.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer in.Close()
	d, err := newDraft(in, 0o666)
	if err != nil {
		return "", err
	}
	defer d.Close()
	src := &source{r: r}
	if _, err := stream(d, src); err != nil {
		return "", src.blame(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := target(in, name)
	if err != nil {
		return "", err
	}
	if err := o.check("Put", path, old); err != nil {
		return "", err
	}
	if err := s.dress(d, old, o.Mode); err != nil {
		return "", err
	}
	if err := d.commit(name); err != nil {
		return "", err
	}
	fi, err := d.Stat()
	if err != nil {
		return "", err
	}
	return ETag(fi), nil
}

// dress gives the draft the owner, the mode and the time that it is to have in the place of old, which is nil if there is none.
func (s *Store) dress(d *draft, old fs.FileInfo, mode fs.FileMode) (err error) {
	if old == nil {
		err = s.own(d.File)
	} else if err = d.like(old); errors.Is(err, syscall.EPERM) {
		err = d.Chmod(old.Mode().Perm()) // of another user, in a directory of ours: the new one is ours
	}
	if err == nil && mode.Perm() != 0 {
		err = d.Chmod(mode.Perm())
	}
	if err == nil && old != nil {
		err = d.apart(old)
	}
	return err
}
