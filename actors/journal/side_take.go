package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/sandtree/sandtree/sandbox"
)

// takeIn adds entries of the side file called name to the records, but for those that have been. The result has a
// refusal, or nil, for each.
func (w *writer) takeIn(name string, entries []*entry) ([]error, error) {
	done, err := w.taken(name)
	if err != nil {
		return nil, err
	}
	refusals := make([]error, len(entries))
	last, known := done, ends{}
	for i, e := range entries {
		if e.n <= done {
			continue
		}
		last = max(last, e.n)
		refusals[i], err = w.takeOne(e, known)
		if err != nil {
			return nil, err
		}
	}
	if last == done {
		return refusals, nil
	}
	w.sideNote.BindText(1, name)
	w.sideNote.BindInt64(2, int64(last))
	return refusals, w.sideNote.run()
}

// ends are where the records of runtimes end, as far as a transaction has looked: nobody else changes that before it is over.
type ends map[sandbox.ID]*end

type end struct {
	epoch uint64
	key   int64 // of the last record
}

// end looks up where the records of a runtime end.
func (w *writer) end(id sandbox.ID, known ends) (*end, error) {
	if e := known[id]; e != nil {
		return e, nil
	}
	num, epoch, err := w.runtime(id)
	if err != nil {
		return nil, err
	}
	key, err := w.lastKey(num)
	if err != nil {
		return nil, err
	}
	known[id] = &end{uint64(epoch), key}
	return known[id], nil
}

// takeOne adds one entry, unless its epoch is not, or no more, that of the runtime.
func (w *writer) takeOne(e *entry, known ends) (refusal, err error) {
	at, err := w.end(e.Runtime, known)
	if refused(err) { // the runtime was removed
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	if e.epoch != at.epoch {
		return refuse(sandbox.Conflict, "epoch %d is over: the runtime is at epoch %d, another process drives it", e.epoch, at.epoch), nil
	}
	if err := w.insert(at.key+1, &e.Record, e.epoch, e.Time); err != nil {
		return nil, err
	}
	at.key++
	w.bytes += len(e.Body) + 2*pageSize
	if n := len(w.touched); n == 0 || w.touched[n-1] != e.Runtime {
		w.touched = append(w.touched, e.Runtime)
	}
	return nil, nil
}

// taken is the number of the last entry of a side file that is in the records.
func (w *writer) taken(name string) (uint64, error) {
	w.sideLast.BindText(1, name)
	row, err := w.sideLast.Step()
	n := uint64(0)
	if row {
		n = uint64(w.sideLast.ColumnInt64(0))
	}
	return n, errors.Join(err, w.sideLast.Reset())
}

// inherit takes in what processes that have ended have left in their side files.
func (j *Journal) inherit(ctx context.Context) error {
	paths, err := j.sideFiles()
	if err != nil || !slices.ContainsFunc(paths, abandoned) { // a commit for nothing would wake others to do the same
		return err
	}
	var dead []*os.File
	return j.doThen(ctx, func(w *writer) (err error) {
		dead, err = w.inherit(paths, "")
		return err
	}, func() { bury(dead) })
}

// inherit takes in the side files of processes that have ended, which it gives back, locked; and what processes that
// live have there of id, which is about to get another holder.
func (w *writer) inherit(paths []string, id sandbox.ID) (dead []*os.File, err error) {
	defer func() {
		if err != nil {
			letLie(dead)
		}
	}()
	for _, path := range paths {
		f, entries, ended, err := openSide(path)
		if err != nil {
			return dead, err
		}
		if f == nil {
			continue
		}
		name := filepath.Base(path)
		if ended {
			dead = append(dead, f)
			_, err = w.takeIn(name, entries)
		} else {
			err = joined(w.takeOver(name, entries, id), f.Close())
		}
		if err != nil {
			return dead, err
		}
	}
	return dead, nil
}

// bury removes side files of which everything has been taken in. One that stays is taken in again, which adds nothing.
func bury(files []*os.File) {
	for _, f := range files {
		_ = os.Remove(f.Name())
	}
	letLie(files)
}

func letLie(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// sideFiles are those of other processes.
func (j *Journal) sideFiles() ([]string, error) {
	j.side.mu.Lock()
	own := ""
	if j.side.file != nil {
		own = j.side.file.name
	}
	j.side.mu.Unlock()
	return sideFiles(j.path, own)
}

// takeOver takes in what a living process has in its side file of one runtime. Its own attempt will be refused, as the
// epoch is over by then.
func (w *writer) takeOver(name string, entries []*entry, id sandbox.ID) error {
	done, err := w.taken(name)
	if err != nil {
		return err
	}
	known := ends{}
	for _, e := range entries {
		if e.n <= done || e.Runtime != id {
			continue
		}
		if _, err := w.takeOne(e, known); err != nil {
			return err
		}
	}
	return nil
}
