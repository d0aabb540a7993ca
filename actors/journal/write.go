package journal

import (
	"context"
	"errors"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A write is one caller's change. Its op runs inside a transaction that others may share: an op that refuses returns a
// *sandbox.Error before it has changed anything; any other error undoes the whole transaction.
type write struct {
	op   func(*writer) error
	then func() // runs once it is committed, before anybody else may write; nil for nothing
	err  error
	wake chan bool // told once that it is done (false), or, perhaps before, that it leads (true)
	led  bool      // under mu: leadership was given to it
}

// do runs op in a transaction and returns when that is committed, or not. The first caller to come leads: it commits
// what waits, on its own goroutine, so that a lone write pays for no switch; whoever comes meanwhile waits and is
// committed in one transaction by the next leader. ctx bounds the wait for that; Canceled means: not written.
func (j *Journal) do(ctx context.Context, op func(*writer) error) error {
	return j.doThen(ctx, op, nil)
}

// doThen is do with something to do after the commit while this process still has its turn.
func (j *Journal) doThen(ctx context.Context, op func(*writer) error, then func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{op: op, then: then, wake: make(chan bool, 2)}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return errClosed
	}
	j.waiting = append(j.waiting, w)
	lead := !j.leading
	j.leading = true
	j.mu.Unlock()
	if lead {
		j.lead()
		return w.err
	}
	return j.await(ctx, w)
}

func (j *Journal) await(ctx context.Context, w *write) error {
	done := ctx.Done()
	for {
		select {
		case lead := <-w.wake:
			if lead {
				j.lead() // w is in the batch
			}
			return w.err
		case <-done:
			if j.withdraw(w) {
				return ctx.Err()
			}
			done = nil // it is being committed: that ends soon, and the caller wants to know how
		}
	}
}

// withdraw takes w out of the queue, unless it has been taken or leads.
func (j *Journal) withdraw(w *write) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if w.led {
		return false
	}
	for i, other := range j.waiting {
		if other == w {
			j.waiting = append(j.waiting[:i:i], j.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// maxBatch bounds a transaction, so that the first in it does not wait for a crowd.
const maxBatch = 512

// lead commits one batch, the caller's write in it, and hands leadership on.
func (j *Journal) lead() {
	j.mu.Lock()
	n := min(len(j.waiting), maxBatch)
	batch := j.waiting[:n:n]
	j.waiting = j.waiting[n:]
	j.mu.Unlock()

	j.commit(batch)

	j.mu.Lock()
	if len(j.waiting) == 0 {
		j.waiting = nil
		j.leading = false
	} else {
		next := j.waiting[0]
		next.led = true
		next.wake <- true
	}
	j.mu.Unlock()
	for _, w := range batch {
		w.wake <- false
	}
}

// drain waits for the writers that came before Close.
func (j *Journal) drain() error {
	j.mu.Lock()
	if !j.leading {
		j.mu.Unlock()
		return nil
	}
	w := &write{op: func(*writer) error { return nil }, wake: make(chan bool, 2)}
	j.waiting = append(j.waiting, w)
	j.mu.Unlock()
	return j.await(context.Background(), w)
}

// commit runs the batch in one transaction and tells subscribers.
func (j *Journal) commit(batch []*write) {
	j.connMu.Lock()
	defer j.connMu.Unlock()
	j.w.touched = j.w.touched[:0]
	j.w.bytes, j.w.records = 0, 0
	begun := time.Now()
	err := j.transact(batch)
	j.figures.Commits.Since(begun)
	if err != nil {
		j.figures.Failures.Add(1)
		for _, w := range batch {
			if w.err == nil { // a refusal stands, whatever became of the others
				w.err = err
			}
		}
		return
	}
	if n := j.w.records; n > 0 {
		j.figures.Events.Add(uint64(n))
		j.figures.Records.Add(int64(n))
	}
	j.subs.wake(j.w.touched...)
	j.checks.add(j.w.bytes)
}

func (j *Journal) transact(batch []*write) (err error) {
	if err := j.bell.takeTurn(); err != nil {
		return err
	}
	defer j.bell.endTurn()
	if err := j.w.begin.run(); err != nil {
		return err
	}
	defer func() {
		if err != nil && !j.w.conn.AutocommitEnabled() { // some errors have rolled back already
			err = errors.Join(err, j.w.rollback.run())
		}
	}()
	for _, w := range batch {
		if w.err = w.op(j.w); w.err == nil {
			continue
		}
		if _, refused := errors.AsType[*sandbox.Error](w.err); !refused {
			err, w.err = w.err, nil
			return err
		}
	}
	if err := j.w.commit.run(); err != nil {
		return err
	}
	for _, w := range batch {
		if w.then != nil && w.err == nil {
			w.then()
		}
	}
	j.bell.ring()
	return nil
}
