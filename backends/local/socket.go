package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSocket is how long the path of a Unix socket may be: sun_path has 108 bytes, one of which ends it.
const maxSocket = 107

// makeSocketDir chooses where the server listens: in the home, or if that path is too long in a directory of its own
// among the temporary files, which only this user may enter.
func (l *label) makeSocketDir(h home) error {
	if sock := h.Path("sock"); len(sock) <= maxSocket {
		l.Socket = sock
		return removeFile(sock)
	}
	if l.Socket != "" {
		if err := removeFile(l.Socket); err == nil {
			if _, err := os.Stat(filepath.Dir(l.Socket)); err == nil {
				return nil
			}
		}
	}
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(tmp, "sandtree-") // mode 0700
		if err != nil {
			continue
		}
		if sock := filepath.Join(dir, "sock"); len(sock) <= maxSocket {
			l.Socket = sock
			return nil
		}
		os.Remove(dir)
	}
	return fmt.Errorf("the path of a socket may have %d bytes; %s is longer, and in neither %s nor /tmp a directory can be made",
		maxSocket, h.Path("sock"), os.TempDir())
}

// removeSocket removes what makeSocketDir made outside the home.
func (l label) removeSocket(h home) error {
	if l.Socket == "" || l.Socket == h.Path("sock") {
		return nil
	}
	return errors.Join(removeFile(l.Socket), removeFile(filepath.Dir(l.Socket)))
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
