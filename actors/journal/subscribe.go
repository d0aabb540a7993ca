package journal

import (
	"context"
	"iter"
	"sync"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// subscribers are those who wait for more, by runtime.
type subscribers struct {
	mu      sync.Mutex
	by      map[sandbox.ID]map[*subscriber]struct{}
	watcher *watcher // of other processes' commits; nil until the first subscriber
	closed  bool
}

type subscriber struct{ more chan struct{} } // room for one: there may be more to read

const (
	pageRecords = 256
	pageBytes   = 1 << 20
)

// Subscribe yields the records of runtime id with a number above after: those that are there, and then each as it is
// appended, by whatever process, without gaps. The consumer may take its time: it holds nothing up. The sequence ends
// with an error: Canceled when ctx ends, NotFound when there is no such runtime or it is removed, Unavailable when the
// journal is closed.
func (j *Journal) Subscribe(ctx context.Context, id sandbox.ID, after uint64) iter.Seq2[Record, error] {
	const op = "journal.Subscribe"
	return func(yield func(Record, error) bool) {
		s := &subscriber{more: make(chan struct{}, 1)}
		if err := j.subscribe(id, s); err != nil {
			yield(Record{}, failure(op, id, j.path, err))
			return
		}
		defer j.subs.remove(id, s)
		err := j.inherit(ctx) // of processes that ended before anybody here was listening
		if err == nil {
			err = j.follow(ctx, id, s, after, yield)
		}
		if err != nil {
			yield(Record{}, failure(op, id, j.path, err))
		}
	}
}

// follow returns nil when the consumer has had enough.
func (j *Journal) follow(ctx context.Context, id sandbox.ID, s *subscriber, after uint64, yield func(Record, error) bool) error {
	var num int64 // of the runtime at first: one that is removed and made anew has another history
	for {
		var recs []Record
		err := j.view(ctx, func(conn *sqlite.Conn) error {
			n, err := lookup(conn, id)
			if err != nil {
				return err
			}
			if num != 0 && n != num {
				return refuse(sandbox.NotFound, "the runtime was removed")
			}
			num = n
			recs, err = page(conn, id, num, after, pageRecords, pageBytes)
			return err
		})
		if err != nil {
			return err
		}
		size := 0
		for _, r := range recs {
			size += len(r.Body)
			if !yield(r, nil) {
				return nil
			}
			after = r.Seq
		}
		if len(recs) == pageRecords || size >= pageBytes {
			continue
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.closing:
			return errClosed
		}
	}
}

// subscribe registers s, and from then on s hears of all that it might have missed by looking too early.
func (j *Journal) subscribe(id sandbox.ID, s *subscriber) error {
	j.subs.mu.Lock()
	defer j.subs.mu.Unlock()
	if j.subs.closed {
		return errClosed
	}
	if j.subs.watcher == nil {
		w, err := watch(j.bell.file.Name())
		if err != nil {
			return err
		}
		j.subs.watcher = w
		j.tasks.Go(func() { j.listen(w) })
	}
	if j.subs.by[id] == nil {
		j.subs.by[id] = map[*subscriber]struct{}{}
	}
	j.subs.by[id][s] = struct{}{}
	return nil
}

// listen wakes all subscribers when another process has committed. Our own commits ring too; they have woken whom
// they concern already.
func (j *Journal) listen(w *watcher) {
	for w.next() == nil {
		if !j.subs.any() {
			continue
		}
		_ = j.inherit(context.Background()) // of a process that has ended; what fails here is tried again by the next to open
		j.connMu.Lock()
		v, err := j.w.version()
		moved := v != j.foreign || err != nil // in doubt they look for themselves
		j.foreign = v
		j.connMu.Unlock()
		if moved {
			j.subs.wakeAll()
		}
	}
}

func (s *subscribers) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by) > 0
}

func (s *subscribers) remove(id sandbox.ID, sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by[id], sub)
	if len(s.by[id]) == 0 {
		delete(s.by, id)
	}
}

func (s *subscribers) wake(ids ...sandbox.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		for sub := range s.by[id] {
			sub.wake()
		}
	}
}

func (s *subscribers) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, subs := range s.by {
		for sub := range subs {
			sub.wake()
		}
	}
}

func (s *subscriber) wake() {
	select {
	case s.more <- struct{}{}:
	default: // it has not looked since it was told last
	}
}

func (s *subscribers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.watcher == nil {
		return nil
	}
	return s.watcher.close()
}
