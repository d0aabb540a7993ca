package journal

import (
	"context"
	"errors"
	"sync"

	"zombiezen.com/go/sqlite"
)

const maxReaders = 4 // readers do not block writers or each other; a read is microseconds of computing

// readers is a pool of connections, opened when first needed.
type readers struct {
	open  func() (*sqlite.Conn, error)
	slots chan *sqlite.Conn // idle

	mu     sync.Mutex
	made   int
	closed bool
}

// view runs f on a connection for reading. f must not keep the connection, nor wait.
func (j *Journal) view(ctx context.Context, f func(*sqlite.Conn) error) error {
	conn, err := j.readers.take(ctx)
	if err != nil {
		return err
	}
	defer j.readers.give(conn)
	return f(conn)
}

func (r *readers) take(ctx context.Context) (*sqlite.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case conn, ok := <-r.slots:
		return opened(conn, ok)
	default:
	}
	if conn, err := r.make(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case conn, ok := <-r.slots:
		return opened(conn, ok)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func opened(conn *sqlite.Conn, ok bool) (*sqlite.Conn, error) {
	if !ok {
		return nil, errClosed
	}
	return conn, nil
}

// make opens one more connection; nil if there are enough.
func (r *readers) make() (*sqlite.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	if r.made == maxReaders {
		return nil, nil
	}
	conn, err := r.open()
	if err == nil {
		r.made++
	}
	return conn, err
}

func (r *readers) give(conn *sqlite.Conn) { r.slots <- conn } // has room for all

// close waits for those in use.
func (r *readers) close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for ; r.made > 0; r.made-- {
		err = errors.Join(err, (<-r.slots).Close())
	}
	close(r.slots)
	return err
}
