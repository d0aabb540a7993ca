package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watch makes a file whose Read returns when the bell at path has been rung, or a process that had it open has ended.
// It is inotify itself rather than a library above it, because fsnotify does not tell of the second.
func watch(path string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), unix.Close(fd))
	}
	return &watcher{os.NewFile(uintptr(fd), "inotify")}, nil
}

type watcher struct{ file *os.File }

// next waits for a ring; many may be told as one. It fails once the watcher is closed.
func (w *watcher) next() error {
	var events [16 * unix.SizeofInotifyEvent]byte // no names come with a watched file; what they say is all the same
	_, err := w.file.Read(events[:])
	return err
}

func (w *watcher) close() error { return w.file.Close() }
