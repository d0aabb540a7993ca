// Package journal is the event store: what was asked of every runtime, what was seen, and what became of it, in one
// SQLite file that several processes share.
//
// Records of one runtime are numbered from 1 without gaps, are never changed, and can be read from any number or
// subscribed to: history first, then what is appended, by this process or another, with nothing left out in between.
// Writers that meet are committed together; one that comes alone is committed at once, on its own goroutine. The holder
// of a lease may also Log, which costs a fraction of that: see side.go.
//
// A runtime is driven by one process at a time: the holder of its Lease. Each lease taken has a higher epoch than the
// one before, and a write under a lower epoch is refused, so that a process which slept through the loss of its lease
// cannot write into its successor's history.
//
// Durable means: what was acknowledged survives SIGKILL of any process, as the pages are in the kernel's hands and
// nothing is synced on the way. After a loss of power the file is sound, but the last records may be missing; Sync
// "full" syncs each commit and loses nothing.
//
// The file must lie on a file system of this host: its log is shared memory, which no network file system gives.
package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says where a journal is and how safe it is.
type Config struct {
	Path string // of the SQLite file; it and its directory are made where missing, readable by this user alone
	Sync string // "" survives SIGKILL; "full" loss of power too, at one fsync per commit
}

// Sync modes.
const (
	SyncProcess = ""
	SyncFull    = "full"
)

// A Journal is an open event store. Safe for concurrent use.
type Journal struct {
	path string
	bell *bell // rung after each commit; also where processes take turns

	mu      sync.Mutex
	waiting []*write // not yet taken by a leader
	leading bool     // somebody commits, or has been told to
	closed  bool

	connMu  sync.Mutex // one at a time on w; taken after mu is let go
	w       *writer
	foreign int64 // PRAGMA data_version: moves when another process commits

	readers readers
	side    side
	subs    subscribers
	checks  checkpoints
	figures *Figures

	closing chan struct{}
	tasks   sync.WaitGroup
	closeFn func() error
}

// Open opens the journal at c.Path, or makes it.
// Codes: Invalid (not a journal, or a damaged one), Unsupported (written by a newer program), Denied (permissions),
// Exhausted (disk full), Unavailable (locked for too long).
func Open(c Config) (*Journal, error) {
	const op = "journal.Open"
	if c.Path == "" {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: errors.New("path: want a file name")}
	}
	if c.Sync != SyncProcess && c.Sync != SyncFull {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: errors.New(`sync: want "" or "full"`)}
	}
	j := &Journal{path: c.Path, closing: make(chan struct{}), figures: newFigures()}
	if err := j.open(c.Sync); err != nil {
		return nil, failure(op, "", c.Path, err)
	}
	j.readers.open = func() (*sqlite.Conn, error) { return openReader(c.Path) }
	j.readers.slots = make(chan *sqlite.Conn, maxReaders)
	j.subs.by = map[sandbox.ID]map[*subscriber]struct{}{}
	j.checks.due, j.checks.every, j.checks.alone = make(chan struct{}, 1), checkpointEvery, checkpointAlone
	j.side.off, j.side.held = c.Sync == SyncFull, map[sandbox.ID]holding{}
	j.side.due, j.side.hurry = make(chan struct{}, 1), make(chan struct{}, 1)
	j.tasks.Go(j.checkpoint)
	j.closeFn = sync.OnceValue(j.close)
	if err := j.inherit(context.Background()); err != nil {
		return nil, failure(op, "", c.Path, joined(err, j.Close()))
	}
	return j, nil
}

func (j *Journal) open(mode string) (err error) {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	if j.bell, err = openBell(j.path + "-bell"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			j.bell.close()
		}
	}()
	if err := j.bell.takeTurn(); err != nil { // two that open a new file at once would both lay it out
		return err
	}
	defer j.bell.endTurn()
	if err := create(j.path); err != nil {
		return err
	}
	if j.w, err = openWriter(j.path, mode); err != nil {
		return err
	}
	j.foreign, err = j.w.version()
	if err != nil {
		j.w.conn.Close()
	}
	return err
}

// create makes the file where it is missing, for this user alone; SQLite would let all read it. One that is there is not
// touched: closing any descriptor of a file drops the locks that SQLite has on it for another Journal of this process.
func create(path string) error {
	switch stat, err := os.Stat(path); {
	case err == nil && stat.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Close ends subscriptions, waits for writers and closes the file. It may be called twice.
func (j *Journal) Close() error { return j.closeFn() }

func (j *Journal) close() error {
	side := j.closeSide()
	j.mu.Lock()
	j.closed = true // no new writer; those that wait are served by their leader
	j.mu.Unlock()
	close(j.closing)
	err := j.subs.close()
	j.tasks.Wait()
	err = errors.Join(err, j.drain(), j.readers.close())
	err = errors.Join(side, err, j.w.conn.Close(), j.bell.close())
	if err != nil {
		return failure("journal.Close", "", j.path, err)
	}
	return nil
}
