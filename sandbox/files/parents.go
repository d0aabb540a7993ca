package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

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
