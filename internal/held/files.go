package held

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ReadJSON reads a file that WriteJSON has written.
func ReadJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// WriteJSON writes a value to a file, as Replace does.
func WriteJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Replace(file, append(b, '\n'))
}

// Replace writes a file so that a reader finds the old content or the new, also after a crash in the middle.
func Replace(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// RemoveTree removes a directory to the last file, also where what ran in it took away its own permission to do so, as
// a module cache does; and where another process writes a last file into it, as the one does that notes how its child ended.
func RemoveTree(dir string) error {
	for attempt := 0; ; attempt++ {
		err := os.RemoveAll(dir)
		switch {
		case errors.Is(err, syscall.ENOTEMPTY) && attempt < 10:
		case errors.Is(err, fs.ErrPermission) && attempt == 0:
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if d != nil && d.IsDir() { // before it is read, so that it can be
					_ = os.Chmod(path, 0o700)
				}
				return nil
			})
		default:
			return err
		}
	}
}
