package files

import (
	"strings"
	"syscall"
)

// next reads events and tells what they mean.
func (w *Watch) next() error {
	events, err := w.in.read()
	if err != nil {
		return err
	}
	for i := range events {
		if err := w.take(&events[i]); err != nil {
			return err
		}
	}
	if w.moving != nil && !w.in.soon() { // the other half would follow at once
		if err := w.movedOut(); err != nil {
			return err
		}
	}
	if len(w.fresh) > 0 && !w.in.pending() {
		clear(w.fresh)
	}
	return nil
}

// take tells what one event means.
func (w *Watch) take(e *rawEvent) error {
	if e.has(overflowed) {
		return w.recover()
	}
	if e.wd == w.parent && !e.has(watchEnded) {
		if e.name == w.name {
			return errGone
		}
		return nil
	}
	if m := w.moving; m != nil && !(e.has(movedTo) && e.cookie == m.cookie) {
		if err := w.movedOut(); err != nil {
			return err
		}
	}
	dir, known := w.dirs[e.wd]
	switch {
	case e.has(watchEnded):
		if known {
			delete(w.dirs, e.wd)
			if w.watches[dir] == e.wd {
				delete(w.watches, dir)
			}
		}
		return nil
	case !known:
		return nil // of a directory that is no longer ours
	case e.has(selfGone):
		return nil // its parent tells of it
	}
	path := join(dir, e.name)
	switch {
	case e.has(movedFrom):
		w.moving = e
		return nil
	case e.has(movedTo):
		return w.movedIn(path, e)
	case isDraft(e.name), w.nameless(path, e):
		return nil
	case e.has(created):
		if w.fresh[path] {
			delete(w.fresh, path)
			return nil
		}
		return w.appeared(Event{Type: "created", Path: path, Dir: e.isDir()})
	case e.has(removed):
		delete(w.fresh, path)
		return w.tell(Event{Type: "removed", Path: path, Dir: e.isDir()})
	case e.has(modified):
		return w.tell(Event{Type: "modified", Path: path, Dir: e.isDir()})
	case e.has(changedMode):
		if e.name == "" {
			if dir != "." {
				return nil // its parent tells of it
			}
			path = ""
		}
		return w.tell(Event{Type: "chmod", Path: path, Dir: e.isDir()})
	}
	return nil
}

// appeared tells of a new name, and looks into it if it is a directory: watch first, then look, so that nothing slips through.
func (w *Watch) appeared(e Event) error {
	if err := w.tell(e); err != nil {
		return err
	}
	if e.Dir && w.recursive {
		return w.addBelow(e.Path, true)
	}
	return nil
}

// movedIn tells of a name that has come by a rename: from where, if the event before said so.
func (w *Watch) movedIn(path string, e *rawEvent) error {
	m := w.moving
	w.moving = nil
	if m == nil {
		if isDraft(e.name) {
			return nil
		}
		return w.appeared(Event{Type: "moved", Path: path, Dir: e.isDir()})
	}
	from := join(w.dirs[m.wd], m.name)
	switch {
	case isDraft(e.name) && isDraft(m.name), isDraft(e.name): // a file that was replaced: of that is told
		return nil
	case isDraft(m.name):
		return w.tell(Event{Type: "modified", Path: path})
	}
	if e.isDir() {
		w.rename(from, path)
	}
	return w.tell(Event{Type: "moved", Path: path, From: from, Dir: e.isDir()})
}

// movedOut tells of a name whose new one lies outside. What is below it is none of ours any more.
func (w *Watch) movedOut() error {
	m := w.moving
	w.moving = nil
	dir, known := w.dirs[m.wd]
	if !known || isDraft(m.name) {
		return nil
	}
	path := join(dir, m.name)
	if m.isDir() {
		for d, wd := range w.watches {
			if d == path || within(path, d) {
				w.in.remove(wd)
				delete(w.dirs, wd)
				delete(w.watches, d)
			}
		}
	}
	return w.tell(Event{Type: "removed", Path: path, Dir: m.isDir()})
}

// rename gives the watched directories below from their new names.
func (w *Watch) rename(from, to string) {
	renamed := map[string]int{}
	for d, wd := range w.watches {
		if d == from || within(from, d) {
			delete(w.watches, d)
			renamed[to+strings.TrimPrefix(d, from)] = wd
		}
	}
	for d, wd := range renamed {
		w.watches[d], w.dirs[wd] = wd, d
	}
}

// recover looks at all directories again after events were lost: some may be new.
func (w *Watch) recover() error {
	w.moving = nil
	clear(w.fresh)
	for wd := range w.dirs {
		w.in.remove(wd)
	}
	clear(w.dirs)
	clear(w.watches)
	if err := w.add(".", false); err != nil {
		return err
	}
	if now, err := w.top.Stat("."); err == nil && now.Sys().(*syscall.Stat_t).Nlink == 0 {
		return errGone
	}
	return w.tell(Event{Type: "overflow"})
}

// nameless says whether the event is about a file without a name (O_TMPFILE), which the kernel tells of as "#" and a number.
func (w *Watch) nameless(path string, e *rawEvent) bool {
	if !e.has(modified|changedMode) || !strings.HasPrefix(e.name, "#") || strings.Trim(e.name[1:], "0123456789") != "" {
		return false
	}
	_, err := w.top.Lstat(path)
	return err != nil
}

// isDraft says whether a name is one of the files in the making, which nobody is to see.
func isDraft(name string) bool {
	return strings.HasPrefix(name, draftPrefix) && strings.HasSuffix(name, draftSuffix)
}
