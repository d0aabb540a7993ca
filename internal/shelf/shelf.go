// Package shelf keeps directories by name, each with a record in JSON, so that whoever looks finds a whole one or none: one
// is filled under another name and gets its own in one step, and loses it in one step before it is removed. What a process
// was filling or removing when it was killed is cleared away by the next one that cleans.
package shelf

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/internal/held"
)

// Shelf is the directory that the others are in; it is made when something is put into it. Safe for concurrent use, also by
// several processes.
type Shelf string

// ErrTaken says that there is one of that name.
var ErrTaken = errors.New("the name is taken")

const (
	recordFile = "record.json"
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

// Path is where the directory of that name is, whether or not there is one. Names do not begin with a dot.
func (s Shelf) Path(name string) string { return filepath.Join(string(s), name) }

// Read reads the record of a name. fs.ErrNotExist if there is none.
func (s Shelf) Read(name string, record any) error {
	return held.ReadJSON(filepath.Join(s.Path(name), recordFile), record)
}

// Rewrite replaces the record of a name.
func (s Shelf) Rewrite(name string, record any) error {
	return held.WriteJSON(filepath.Join(s.Path(name), recordFile), record)
}

// Names are those that there are, sorted.
func (s Shelf) Names() ([]string, error) {
	entries, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Put makes the directory of a name with what fill puts into it and the record that it returns. ErrTaken, before and after fill;
// what fill has made is removed then.
func (s Shelf) Put(name string, fill func(dir string) (record any, err error)) error {
	if _, err := os.Lstat(s.Path(name)); err == nil {
		return ErrTaken
	}
	dir, unlock, err := s.begin()
	if err != nil {
		return err
	}
	defer unlock()
	record, err := fill(dir)
	if err == nil {
		err = held.WriteJSON(filepath.Join(dir, recordFile), record)
	}
	if err == nil {
		err = os.Rename(dir, s.Path(name)) // a directory takes the place of none that is not empty
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		err = ErrTaken
	}
	return errors.Join(err, held.RemoveTree(dir))
}

// begin makes a directory to fill, which is locked as long as this process lives and does not unlock it.
func (s Shelf) begin() (dir string, unlock func(), err error) {
	for {
		if err := os.MkdirAll(string(s), 0o700); err != nil {
			return "", nil, err
		}
		dir, err = os.MkdirTemp(string(s), newPrefix)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) { // else the last of the others has been removed, and the shelf with it
			return "", nil, err
		}
	}
	// Nobody else waits for it, so neither do we.
	unlock, err = held.Locker{Begin: func(func()) bool { return false }}.Lock(context.Background(), dir, true)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, unlock, nil
}

// Remove removes a name and what is in its directory. No such name is no error.
func (s Shelf) Remove(name string) error {
	remove, err := s.Hide(name)
	if err != nil {
		return err
	}
	return remove()
}

// Hide takes a name away in one step. What was in its directory, which may take long, is removed by what it returns; or by
// whoever cleans.
func (s Shelf) Hide(name string) (remove func() error, err error) {
	gone := s.Path(gonePrefix + rand.Text())
	if err := os.Rename(s.Path(name), gone); errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	} else if err != nil {
		return nil, err
	}
	return func() error {
		err := held.RemoveTree(gone)
		_ = os.Remove(string(s)) // if nothing is in it
		return err
	}, nil
}

// Borrow gives f a directory, which is gone when it returns, or when somebody cleans after this process has ended.
func (s Shelf) Borrow(f func(dir string) error) error {
	dir, unlock, err := s.begin()
	if err != nil {
		return err
	}
	defer unlock()
	err = errors.Join(f(dir), held.RemoveTree(dir))
	_ = os.Remove(string(s)) // if nothing is in it
	return err
}

// Clean removes what a process was filling or removing when it ended.
func (s Shelf) Clean() error {
	entries, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		dir := filepath.Join(string(s), e.Name())
		if strings.HasPrefix(e.Name(), gonePrefix) || strings.HasPrefix(e.Name(), newPrefix) && !held.Locked(dir) && unborn(dir) {
			errs = append(errs, held.RemoveTree(dir))
		}
	}
	return errors.Join(errs...)
}

// unborn says whether a directory that is being filled, and is not locked, has a lock: else it has just been made, or is what
// is left of one that was cut off at once, which is empty.
func unborn(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "lock")); err == nil {
		return true
	}
	return os.Remove(dir) == nil // which does nothing to one in which there is something by now
}
