package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A commit of SQLite costs a dozen system calls, far more than a record is worth that only has to survive this process.
// Log writes records to a file of this process's own, the side file, with one system call; from there they go into the
// database in the background, many in one commit. Whoever reads here sees them at once, other processes a moment later.
//
// When a process dies, the next to open the journal, or to take a lease, finds the side file, which nobody holds the
// lock of any more, and brings what is left in it into the database. When a process only lost a lease, because it was
// stopped for too long, the next holder takes over what the side file has of that runtime. And Log, when it has written,
// looks whether its lease still lasts: if it does, the next holder has yet to look; if not, the record counts only once
// it is in the database, which refuses it if the epoch is over.

// side is the part of a Journal that logs.
type side struct {
	due, hurry chan struct{} // something is pending; somebody waits for it. Room for one each

	committing sync.Mutex // one commit of pending at a time; taken before mu

	mu      sync.Mutex
	off     bool      // there is no side file: Sync is "full", or the journal is closing
	file    *sideFile // nil before the first Log
	held    map[sandbox.ID]holding
	pending []*entry // written, and not yet committed
	bytes   int      // of their bodies
	failing bool     // the last commit failed: nobody is told that all is well before one succeeds
}

// holding is a lease of this Journal.
type holding struct {
	epoch   uint64
	expires *atomic.Int64 // unix milliseconds
	heard   *heard        // under side.mu
}

// An entry is one record on its way into the database.
type entry struct {
	n     uint64 // number in the side file, which never comes again
	epoch uint64
	Record

	done chan struct{} // closed when it is committed or refused, or could not be committed yet
	told bool          // done is closed; under side.mu
	err  error         // to be read after done
}

const (
	// linger is how long the committer waits for company before a commit, unless somebody here wants to read. Other
	// processes see records that much later, which nobody notices; a busy runtime's go in by the dozen.
	linger = 10 * time.Millisecond
	// sidePending bounds the bodies that wait for the committer: then Log waits for it too.
	sidePending = 8 << 20
	// sideKept is the size in bytes at which the side file is emptied, once nothing is pending.
	sideKept = 1 << 20
	// sideRetry is the pause after a commit that failed.
	sideRetry = 100 * time.Millisecond
)

// Log is Append for the holder of a lease, at a fraction of the price: the records are durable against the death of any
// process when it returns, but they get their numbers, and other processes see them, a moment later. Under Sync "full",
// and where the lease of that epoch was not acquired from this Journal, it is Append. Codes: those of Append.
func (j *Journal) Log(ctx context.Context, id sandbox.ID, epoch uint64, recs ...Record) error {
	const op = "journal.Log"
	err := check(recs)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return failure(op, id, j.path, err)
	}
	begun := time.Now()
	entries, sure, err := j.logged(id, epoch, recs)
	if entries != nil {
		j.figures.Logs.Since(begun)
	}
	if err != nil {
		return failure(op, id, j.path, err)
	}
	if entries == nil {
		_, err := j.Append(ctx, id, epoch, recs...)
		return err
	}
	if sure() {
		return nil
	}
	return failure(op, id, j.path, j.side.await(ctx, entries[len(entries)-1]))
}

// logged writes records to the side file. No entries: they have to be appended. sure says, afterwards, whether it is
// enough that they are written.
func (j *Journal) logged(id sandbox.ID, epoch uint64, recs []Record) (entries []*entry, sure func() bool, err error) {
	s := &j.side
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[id]
	if !ok || h.epoch != epoch || s.off || len(recs) == 0 {
		return nil, nil, nil
	}
	if s.file == nil {
		if s.file, err = createSide(j.path); err != nil {
			return nil, nil, err
		}
		j.tasks.Go(j.commitSide) // Close turns the side off before it waits for tasks
	}
	now := time.Now()
	entries = make([]*entry, len(recs))
	for i, r := range recs {
		r.Runtime = id
		if r.Time.IsZero() {
			r.Time = now
		}
		entries[i] = &entry{epoch: epoch, Record: r, done: make(chan struct{})}
	}
	if err := s.file.append(entries); err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		s.bytes += len(e.Body)
		h.heard.add(e.ActionID)
	}
	s.pending = append(s.pending, entries...)
	poke(s.due)
	if s.failing || s.bytes > sidePending {
		return entries, func() bool { return false }, nil
	}
	return entries, func() bool { return time.Now().UnixMilli() < h.expires.Load() }, nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits until an entry, and all before it, are in the database or refused.
func (s *side) await(ctx context.Context, e *entry) error {
	poke(s.hurry)
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain returns once all that is pending and wanted is in the database. It comes before what reads the database or adds
// to it.
func (s *side) drain(ctx context.Context, wanted func(*entry) bool) error {
	s.mu.Lock()
	var last *entry
	for i := len(s.pending) - 1; i >= 0 && last == nil; i-- {
		if wanted(s.pending[i]) {
			last = s.pending[i]
		}
	}
	s.mu.Unlock()
	if last == nil {
		return nil
	}
	err := s.await(ctx, last)
	if refused(err) {
		return nil // that is for its writer to know
	}
	return err
}

func of(id sandbox.ID) func(*entry) bool { return func(e *entry) bool { return e.Runtime == id } }

func anyone(*entry) bool { return true }

// hold notes that id is driven from here, under h; the zero h is nothing.
func (s *side) hold(id sandbox.ID, h holding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h != (holding{}) {
		s.held[id] = h
	}
}

// hear keeps in mind which actions are on record.
func (s *side) hear(id sandbox.ID, recs []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.held[id].heard; h != nil {
		for i := range recs {
			h.add(recs[i].ActionID)
		}
	}
}

func (s *side) letGo(id sandbox.ID) holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[id]
	delete(s.held, id)
	return h
}

// commitSide is the committer: it brings what is pending into the database, until the journal closes.
func (j *Journal) commitSide() {
	for {
		select {
		case <-j.side.due:
		case <-j.closing:
			return
		}
		timer := time.NewTimer(linger)
		select {
		case <-timer.C:
		case <-j.side.hurry:
		case <-j.closing:
		}
		if j.commitPending() != nil {
			timer.Reset(sideRetry)
			select {
			case <-timer.C:
			case <-j.closing:
			}
			poke(j.side.due)
		}
		timer.Stop()
	}
}

// commitPending commits what is pending in one transaction. It fails if that does; refusals of single entries are told
// to those who wait for them.
func (j *Journal) commitPending() error {
	s := &j.side
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	batch := s.pending[:len(s.pending):len(s.pending)]
	s.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	var refusals []error
	err := j.doThen(context.Background(), func(w *writer) (err error) {
		refusals, err = w.takeIn(s.file.name, batch)
		return err
	}, func() { s.committed(batch, refusals) })
	if err != nil {
		s.notYet(batch, err)
	}
	return err
}

// committed forgets a batch that is in the database. It is still our turn to write, so nobody reads the side file.
func (s *side) committed(batch []*entry, refusals []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = false
	s.pending = s.pending[len(batch):]
	for i, e := range batch {
		s.bytes -= len(e.Body)
		if refusals[i] != nil && s.held[e.Runtime].epoch == e.epoch {
			delete(s.held, e.Runtime) // fenced: from now on Append says so
		}
		e.tell(refusals[i])
	}
	if len(s.pending) == 0 {
		s.pending = nil
		s.file.shrink()
	}
}

// notYet tells those who wait that the commit failed. It will be tried again.
func (s *side) notYet(batch []*entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = true
	for _, e := range batch {
		e.tell(err)
	}
}

func (e *entry) tell(err error) {
	if !e.told {
		e.told, e.err = true, err
		close(e.done)
	}
}

// closeSide commits what is pending and removes the side file. What cannot be committed stays there, for the next process.
func (j *Journal) closeSide() error {
	s := &j.side
	s.mu.Lock()
	s.off = true
	s.mu.Unlock()
	err := j.commitPending()
	s.mu.Lock()
	f, empty := s.file, len(s.pending) == 0
	s.mu.Unlock()
	if f == nil {
		return err
	}
	if err = joined(err, f.close(empty)); err != nil || !empty {
		return err
	}
	// Only now: without its note, a file that is still there would be taken in again.
	return j.do(context.Background(), func(w *writer) error {
		w.sideForget.BindText(1, f.name)
		return w.sideForget.run()
	})
}
