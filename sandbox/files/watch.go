package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// An Event is a change below a directory that is watched.
type Event struct {
	Type string // ready, created, modified, removed, moved, chmod or overflow
	Path string // relative to what is watched; "" is itself
	From string // of moved: the old path; "" if it came from outside
	Dir  bool
	Time time.Time // when it was read
}

// maxWatched is how many directories one watch looks at: each is memory of the kernel, and the user's share is bounded.
const maxWatched = 8192

// A Watch tells what changes below a directory, or about one file.
type Watch struct {
	path      string
	top       *os.Root
	recursive bool
	only      string // the file, in top; "" is all
	parent    int    // the watch of the directory that top is in: while top is open, only that one tells of its end
	name      string // of top there
	in        *inotify
	dirs      map[int]string // by watch: way from top
	watches   map[string]int
	fresh     map[string]bool // told from a look into a new directory; the kernel may tell of them again
	moving    *rawEvent       // the first half of a move, which the second follows
	yield     func(Event) error
}

// Watch begins to look: what changes from now on is told by Run. The caller runs it or not, and closes it. A link is
// followed at the path itself, not below. Linux only.
// Codes: Invalid, Denied, NotFound, Exhausted (too many directories, or the system's share is used up), Unsupported.
func (s *Store) Watch(path string, recursive bool) (*Watch, error) {
	root, rel, err := s.at("Watch", path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fi, err := root.Lstat(rel)
	if err != nil {
		return nil, fail("Watch", path, err)
	}
	w := &Watch{path: path, recursive: recursive, dirs: map[int]string{}, watches: map[string]int{}, fresh: map[string]bool{}}
	if !fi.IsDir() {
		rel, w.only = split(rel)
		w.recursive = false
	}
	if w.top, err = root.OpenRoot(rel); err == nil {
		if w.in, err = newInotify(); err == nil {
			err = errors.Join(w.add(".", false), w.addParent(root, rel))
		}
	}
	if err != nil {
		w.Close()
		return nil, w.fail(err)
	}
	return w, nil
}

var errTooMany = errors.New("has too many directories to watch")

func (w *Watch) fail(err error) error {
	switch {
	case errors.Is(err, errTooMany):
		return refuse(sandbox.Exhausted, "Watch", w.path, "has more than %d directories: watch a part of it", maxWatched)
	case noWatchesLeft(err):
		return refuse(sandbox.Exhausted, "Watch", w.path, "cannot be watched: the user has as many inotify watches as the system lets him; end others, or raise fs.inotify.max_user_watches and max_user_instances: %w", err)
	case errors.Is(err, errors.ErrUnsupported):
		return refuse(sandbox.Unsupported, "Watch", w.path, "cannot be watched here: that needs Linux's inotify, and /proc")
	}
	return fail("Watch", w.path, err)
}

// Close lets go of what the watch holds.
func (w *Watch) Close() error {
	var errs []error
	if w.in != nil {
		errs = append(errs, w.in.close())
	}
	if w.top != nil {
		errs = append(errs, w.top.Close())
	}
	return errors.Join(errs...)
}

// Run tells what changes, beginning with the event ready, until ctx ends, what is watched is removed or moved away, or yield
// fails, whose error is returned as it is. A change is told at least once: what happens in a directory while it is made may
// be told twice. After overflow something was missed. Codes: Canceled, NotFound (it is gone), Exhausted, Internal.
func (w *Watch) Run(ctx context.Context, yield func(Event) error) error {
	w.yield = yield
	stop := context.AfterFunc(ctx, w.in.interrupt)
	defer stop()
	err := w.tell(Event{Type: "ready", Dir: w.only == ""})
	for err == nil {
		err = w.next()
	}
	if y, ok := errors.AsType[yielded](err); ok {
		return y.error
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, errGone) {
		return refuse(sandbox.NotFound, "Watch", w.path, "is no longer there")
	}
	return w.fail(err)
}

var errGone = errors.New("what was watched is gone")

// yielded is an error of yield.
type yielded struct{ error }

func (w *Watch) tell(e Event) error {
	if w.only != "" && e.Type != "ready" && e.Type != "overflow" {
		switch {
		case e.Path == w.only:
			e.Path = ""
		case e.From == w.only: // it has another name now, of which nobody asked
			e = Event{Type: "removed"}
		default:
			return nil
		}
	}
	e.Time = time.Now().UTC()
	if err := w.yield(e); err != nil {
		return yielded{err}
	}
	return nil
}

// add watches the directory dir, which is given by its way from top, and, if the watch is recursive, those in it. Their
// entries are told as created if told says so: they may have come before anybody looked.
func (w *Watch) add(dir string, told bool) error {
	f, err := w.top.OpenFile(dir, openFlags|directoryFlag, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	wd, err := w.in.add(f)
	if err != nil {
		return err
	}
	if old, ok := w.dirs[wd]; ok { // the same directory under another name
		delete(w.watches, old)
	}
	w.dirs[wd], w.watches[dir] = dir, wd
	if len(w.dirs) > maxWatched {
		return errTooMany
	}
	if !w.recursive {
		return nil
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := join(dir, e.Name())
		if told && !isDraft(e.Name()) {
			w.fresh[name] = true
			if err := w.tell(Event{Type: "created", Path: name, Dir: e.IsDir()}); err != nil {
				return err
			}
		}
		if e.IsDir() {
			if err := w.addBelow(name, told); err != nil {
				return err
			}
		}
	}
	return nil
}

// addParent watches the directory that rel, which is top, is in. Where that may not be read, nothing tells of top's end.
func (w *Watch) addParent(root *os.Root, rel string) error {
	open, up := root.OpenFile, rel
	switch {
	case rel == "." && root.Name() == "/":
		return nil
	case rel == ".":
		open, up = os.OpenFile, root.Name()
	}
	up, w.name = split(up)
	dir, err := open(up, openFlags|directoryFlag, 0)
	if err != nil {
		return nil
	}
	defer dir.Close()
	if w.parent, err = w.in.addFor(dir, removed|movedFrom); err != nil {
		return err
	}
	now, err := os.Lstat(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), w.name))
	mine, err2 := w.top.Stat(".")
	if err != nil || err2 != nil || !os.SameFile(now, mine) {
		return &fs.PathError{Op: "watch", Path: rel, Err: fs.ErrNotExist} // since it was opened
	}
	return nil
}

// addBelow is add, but what is gone meanwhile or cannot be read does not matter.
func (w *Watch) addBelow(dir string, told bool) error {
	err := w.add(dir, told)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || notADirectory(err) {
		return nil
	}
	return err
}
