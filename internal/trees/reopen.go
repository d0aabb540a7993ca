package trees

import "slices"

// keptLevels is how many levels are kept open above one that was found again by its name.
const keptLevels = 4

// reopen opens level n, from the one below, or else from the last one above that is open. There some are kept open: where one level
// has many directories that do not lead back, it is found again after each.
func (w *walker) reopen(n int) error {
	if w.stack[n].again(w.stack[n+1], "..") == nil {
		return nil
	}
	from := n - 1
	for !w.stack[from].isOpen() {
		from--
	}
	for i := from + 1; i <= n; i++ {
		l := w.stack[i]
		if err := l.again(w.stack[i-1], l.name); err != nil {
			if gone(err) {
				err = ErrMoved
			}
			return err
		}
		if i < n {
			w.keep(l)
		}
	}
	return nil
}

// keep keeps a level open, and closes the one that was kept first. It may have been closed meanwhile, to be read below.
func (w *walker) keep(l *level) {
	w.kept = append(slices.DeleteFunc(w.kept, func(k *level) bool { return k == l }), l)
	if len(w.kept) > keptLevels {
		w.kept[0].close()
		w.kept = slices.Delete(w.kept, 0, 1)
	}
}

func (l *level) isOpen() bool { return l.src.f != nil && (l.dst.f != nil || l.dst.id == (inode{})) }

// again opens what is not open of a level, as what is at a name in another, to be read on.
func (l *level) again(at *level, name string) error {
	if l.src.f == nil {
		if err := l.src.take(at.src.fd(), name); err != nil {
			return err
		}
		if _, err := l.src.f.Seek(l.offset, 0); err != nil {
			return err
		}
	}
	if l.isOpen() {
		return nil
	}
	return l.dst.take(at.dst.fd(), name)
}
