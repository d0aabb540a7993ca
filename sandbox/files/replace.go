package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// maxLinks is how many symbolic links a path may lead through, as in Linux.
const maxLinks = 40

// landing is where a write to p lands: p with the links of its last element followed, as open(2) does, though the file
// at the end need not exist.
func landing(p string) (string, error) {
	for range maxLinks {
		to, err := os.Readlink(p)
		if err != nil {
			return p, nil // no link, or nothing
		}
		if dir, _ := split(p); to == "" || to[0] != '/' {
			to = dir + "/" + to
		}
		p = to
	}
	return "", &fs.PathError{Op: "open", Path: p, Err: syscall.ELOOP}
}

// create makes the file p with content b, its mode cut from perm by the umask, or by exact. What the draft met when it
// was to be given to its owner is returned beside the error: the file is there all the same.
func (s *Store) create(p string, b []byte, perm fs.FileMode, exact bool) (ownErr, err error) {
	err = draftAt(p, perm, func(d *draft) error {
		if _, err := d.Write(b); err != nil {
			return err
		}
		ownErr = s.own(d.File)
		if exact {
			ownErr = errors.Join(ownErr, d.Chmod(perm))
		}
		return nil
	})
	return ownErr, err
}

// rewrite gives the existing regular file p the content b and leaves its mode and owner. It does so in a new file that
// takes the name of the old; in the old one itself, as a last resort and not atomically, where that would break a hard
// link, or where the directory, the owner or a mount forbids it.
func (s *Store) rewrite(p string, b []byte, old fs.FileInfo) error {
	if old.Sys().(*syscall.Stat_t).Nlink > 1 {
		return overwrite(p, b)
	}
	err := s.swap(p, b, old)
	for _, no := range []error{syscall.EACCES, syscall.EPERM, syscall.EBUSY, syscall.EXDEV} {
		if errors.Is(err, no) {
			return overwrite(p, b)
		}
	}
	return err
}

func (s *Store) swap(p string, b []byte, old fs.FileInfo) error {
	return draftAt(p, 0o600, func(d *draft) error {
		if _, err := d.Write(b); err != nil {
			return err
		}
		if err := d.like(old); err != nil {
			return err
		}
		return d.apart(old)
	})
}

// draftAt makes the file that a write to p lands in; fill gives it its content.
func draftAt(p string, perm fs.FileMode, fill func(*draft) error) error {
	p, err := landing(p)
	if err != nil {
		return err
	}
	dir, name := split(p)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	d, err := newDraft(root, perm)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := fill(d); err != nil {
		return err
	}
	return d.commit(name)
}

func overwrite(p string, b []byte) error {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_TRUNC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	stamp(f)
	return errors.Join(err, f.Close())
}
