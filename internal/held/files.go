package held

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Replace writes a file so that a reader finds the old content or the new, also after this process has crashed in the middle.
// After a loss of power of the whole machine a file that was new in the last half minute may be empty, which readers have to say
// and not to take for none: waiting for the disk each time would take a start from 0.2 to 1.0 ms here (the median on an ext4
// of a virtual machine).
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
