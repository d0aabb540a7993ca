//go:build !linux

package journal

import (
	"os"

	"github.com/fsnotify/fsnotify"
)

// watch is like that on Linux, but does not hear of a process killed between a commit and its ring: that commit is
// seen at the next one.
func watch(path string) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := w.Add(path); err != nil {
		w.Close()
		return nil, err
	}
	return &watcher{w}, nil
}

type watcher struct{ *fsnotify.Watcher }

func (w *watcher) next() error {
	select {
	case _, ok := <-w.Events:
		if !ok {
			return os.ErrClosed
		}
		return nil
	case err, ok := <-w.Errors:
		if !ok {
			return os.ErrClosed
		}
		return err
	}
}

func (w *watcher) close() error { return w.Watcher.Close() }
