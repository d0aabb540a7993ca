// Package ledger is the exactly-once record of a sandbox: which actions were asked for, and what was answered.
//
// An action is received, runs, and is done. Received and done are appended to a file with write(2) before anybody hears
// of them, so that they outlive the process, however it dies (not the machine: nothing is synced). Asking again for an
// action that is known gives its entry, which has the answer or will have it; it is never begun twice. What a dead
// process left running is listed by Interrupted, and has no answer until somebody settles it.
//
// Answers are opaque bytes. The last Keep of them are held, in memory and in the file; of older actions only the fact
// that they were performed, which is all that is needed to refuse them. The file is rewritten when most of it is waste.
// That fact is in files of a fixed size beside it, of which little is in memory: what a ledger takes there does not grow.
package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says where a ledger is and how much it keeps.
type Config struct {
	Path     string // of the file, whose folder is made; "" keeps everything in memory only
	Keep     int    // answers kept; 0 means 1024
	MaxBytes int64  // of all kept answers together; 0 means 64 MiB. The newest is kept whatever its size.
}

const (
	defaultKeep     = 1024
	defaultMaxBytes = 64 << 20
	// goneFactor times Keep is how many actions are remembered without their answer, at least. By default a quarter of a
	// million, months of the busiest agent, for which a file of 2.8 MB and 0.35 MB of memory are taken, and at most twice.
	goneFactor = 256
)

// Ledger is safe for concurrent use.
type Ledger struct {
	keep     int
	maxBytes int64
	closed   chan struct{}

	mu      sync.Mutex
	file    *file // nil if in memory only
	entries map[string]*Entry
	done    []*Entry // with an answer, oldest first
	bytes   int64    // of their answers
	gone    goneSet
	epoch   uint64
	shut    bool

	interrupted []string // never changes after Open
}

// Entry is one action.
type Entry struct {
	l       *Ledger
	id      string
	body    [sha256.Size]byte
	settled chan struct{} // closed when answer is there
	answer  []byte        // not to be read before settled is closed
}

// Open reads the file of an earlier ledger or begins one. A record that was being written when the process died is cut
// off. Codes: Invalid (the file is no ledger), Conflict (another process has it), Exhausted (disk full), Internal.
func Open(c Config) (*Ledger, error) {
	l := &Ledger{keep: c.Keep, maxBytes: c.MaxBytes, closed: make(chan struct{}), entries: map[string]*Entry{}}
	if l.keep <= 0 {
		l.keep = defaultKeep
	}
	if l.maxBytes <= 0 {
		l.maxBytes = defaultMaxBytes
	}
	l.gone.limit = l.keep * goneFactor
	if err := l.open(c.Path); err != nil {
		return nil, failure("ledger.Open", errors.Join(err, l.letGo()))
	}
	return l, nil
}

func (l *Ledger) open(path string) error {
	if path == "" {
		return l.gone.open()
	}
	f, err := openFile(path)
	if err != nil {
		return err
	}
	l.file = f
	l.gone.path = path + ".gone"
	if err := errors.Join(l.gone.open(), l.file.read(l.replay)); err != nil {
		return err
	}
	l.file.makeSpare()
	l.interrupted = l.runningLocked()
	l.tidyLocked()
	return nil
}

// letGo closes the files.
func (l *Ledger) letGo() error {
	err := l.gone.close()
	if l.file != nil {
		err = errors.Join(err, l.file.close())
	}
	return err
}

// Interrupted names the actions that were running when the ledger was last left, in no order. They count as running
// until Settle.
func (l *Ledger) Interrupted() []string { return slices.Clone(l.interrupted) }

// Settle gives an action its answer: Entry.Done by name. Codes: NotFound, and those of Done.
func (l *Ledger) Settle(id string, answer []byte) error {
	e, ok := l.Lookup(id)
	if !ok {
		return &sandbox.Error{Code: sandbox.NotFound, Op: "ledger.Settle", Err: fmt.Errorf("no action %q", id)}
	}
	return e.Done(answer)
}

// Begin records that the action id with that body was received. If fresh, the caller performs it and must call e.Done;
// else it is known, and e has its answer or will have it. Nothing was recorded, and nothing must be performed, if there is
// an error. Codes: Invalid (bad id), Conflict (known with another body, or its answer is no longer kept), Exhausted (disk
// full), Unavailable (closed), Internal.
func (l *Ledger) Begin(id string, body [sha256.Size]byte) (e *Entry, fresh bool, err error) {
	if err := sandbox.CheckActionID(id); err != nil {
		return nil, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		if e.body != body {
			return nil, false, conflict("ledger.Begin", "action %q was another one before", id)
		}
		return e, false, nil
	}
	if l.shut {
		return nil, false, &sandbox.Error{Code: sandbox.Unavailable, Op: "ledger.Begin", Err: errClosed}
	}
	if gone, err := l.gone.has(id); err != nil {
		return nil, false, failure("ledger.Begin", err)
	} else if gone {
		return nil, false, conflict("ledger.Begin", "action %q was performed long ago: its answer is no longer kept", id)
	}
	e = &Entry{l: l, id: id, body: body, settled: make(chan struct{})}
	if err := l.writeLocked(recordReceived, id, body[:]); err != nil {
		return nil, false, failure("ledger.Begin", err)
	}
	l.entries[id] = e
	l.gone.prepare()
	return e, true, nil
}

// Lookup gives the entry of an action that is running or whose answer is kept.
func (l *Ledger) Lookup(id string) (*Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[id]
	return e, ok
}

// Known says whether the action was ever received, though its answer may not be kept any more.
func (l *Ledger) Known(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[id] != nil {
		return true
	}
	gone, err := l.gone.has(id)
	return gone || err != nil // whether it was is not known: then nobody must take it for new
}

// Len is how many actions are known with their answers, or are running.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Epoch is the highest epoch seen.
func (l *Ledger) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// Raise notes the epoch of whoever asks. Codes: Conflict (a higher one was seen: the asker is fenced), Exhausted,
// Unavailable, Internal.
func (l *Ledger) Raise(epoch uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case epoch < l.epoch:
		return conflict("ledger.Raise", "epoch %d is over: a controller of epoch %d has come", epoch, l.epoch)
	case epoch == l.epoch:
		return nil
	case l.shut:
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "ledger.Raise", Err: errClosed}
	}
	if err := l.writeLocked(recordEpoch, "", appendUint64(nil, epoch)); err != nil {
		return failure("ledger.Raise", err)
	}
	l.epoch = epoch
	return nil
}

// Close lets go of the file. Running actions stay recorded as running; who waits for them gets Lost. It may be called twice.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil
	}
	l.shut = true
	close(l.closed)
	if err := l.letGo(); err != nil {
		return failure("ledger.Close", err)
	}
	return nil
}

// ID is the action's id.
func (e *Entry) ID() string { return e.id }

// Done records the answer, which is the ledger's from now on, and then lets it be seen. If it cannot be recorded it is seen
// all the same, since the action has been performed and somebody waits for it; after the death of this process it will
// count as interrupted, and the error says so. Codes: Conflict (it has an answer), Exhausted, Unavailable, Internal.
func (e *Entry) Done(answer []byte) error {
	l := e.l
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-e.settled:
		return conflict("ledger.Done", "action %q has its answer", e.id)
	default:
	}
	err := errClosed
	if !l.shut {
		err = l.writeLocked(recordDone, e.id, answer)
	}
	l.settleLocked(e, answer)
	if errors.Is(err, errClosed) {
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "ledger.Done", Err: err}
	}
	if err != nil {
		return failure("ledger.Done", fmt.Errorf("the answer of action %q is not recorded: %w", e.id, err))
	}
	return nil
}

// Settled is closed when the answer is there.
func (e *Entry) Settled() <-chan struct{} { return e.settled }

// Answer is the answer, if it is there. It must not be changed.
func (e *Entry) Answer() ([]byte, bool) {
	select {
	case <-e.settled:
		return e.answer, true
	default:
		return nil, false
	}
}

// Wait waits for the answer, which must not be changed. ctx bounds the wait. Codes: Canceled, Lost (the ledger was closed).
func (e *Entry) Wait(ctx context.Context) ([]byte, error) {
	select {
	case <-e.settled:
		return e.answer, nil
	default:
	}
	select {
	case <-e.settled:
		return e.answer, nil
	case <-ctx.Done():
		return nil, &sandbox.Error{Code: sandbox.Canceled, Op: "ledger.Wait", Err: context.Cause(ctx)}
	case <-e.l.closed:
		return nil, &sandbox.Error{Code: sandbox.Lost, Op: "ledger.Wait", Err: errClosed}
	}
}

var errClosed = errors.New("the ledger is closed")

func conflict(op, format string, args ...any) error {
	return &sandbox.Error{Code: sandbox.Conflict, Op: op, Err: fmt.Errorf(format, args...)}
}
