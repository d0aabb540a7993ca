package journal

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

const columns = "SELECT key, time, type, action, epoch, body FROM record "

// Read returns up to limit records of runtime id with a number above after, in order; limit 0 means all. Fewer than
// limit means that there are no more now. ctx bounds the wait for a connection.
// Codes: NotFound (no such runtime), Unavailable, Canceled.
func (j *Journal) Read(ctx context.Context, id sandbox.ID, after uint64, limit int) ([]Record, error) {
	if limit <= 0 {
		limit = -1
	}
	if err := j.inherit(ctx); err != nil {
		return nil, failure("journal.Read", id, j.path, err)
	}
	return j.read(ctx, "journal.Read", id, of(id), func(conn *sqlite.Conn, num int64) ([]Record, error) {
		return page(conn, id, num, after, limit, math.MaxInt)
	})
}

// page reads up to limit records, or fewer once they hold maxBytes.
func page(conn *sqlite.Conn, id sandbox.ID, num int64, after uint64, limit, maxBytes int) ([]Record, error) {
	s, err := conn.Prepare(columns + "WHERE key > ? AND key < ? ORDER BY key LIMIT ?")
	if err != nil {
		return nil, err
	}
	s.BindInt64(1, num<<seqBits+int64(min(after, maxSeq)))
	s.BindInt64(2, (num+1)<<seqBits)
	s.BindInt64(3, int64(limit))
	return collect(s, id, maxBytes)
}

// FindAction finds what is recorded of an action: that it was about to be sent, and what was seen. Either is nil if it
// is not there; of several the first counts. Codes: NotFound (no such runtime), Unavailable, Canceled.
func (j *Journal) FindAction(ctx context.Context, id sandbox.ID, actionID string) (action, observation *Record, err error) {
	const op = "journal.FindAction"
	if unheard, err := j.unheard(ctx, id, actionID); unheard || err != nil {
		return nil, nil, failure(op, id, j.path, err)
	}
	pending := func(e *entry) bool { return e.ActionID == actionID && e.Runtime == id }
	recs, err := j.read(ctx, op, id, pending, func(conn *sqlite.Conn, num int64) ([]Record, error) {
		s, err := conn.Prepare(columns + "WHERE key >> 36 = ? AND action = ? AND action <> '' ORDER BY key")
		if err != nil {
			return nil, err
		}
		s.BindInt64(1, num)
		s.BindText(2, actionID)
		return collect(s, id, math.MaxInt)
	})
	for i := range recs {
		switch r := &recs[i]; {
		case r.Type == TypeAction && action == nil:
			action = r
		case r.Type == TypeObservation && observation == nil:
			observation = r
		}
	}
	return action, observation, err
}

// Unsettled lists the actions of runtime id that have no observation, in order: those that a process which died had
// sent, or was about to. Codes: NotFound (no such runtime), Unavailable, Canceled.
func (j *Journal) Unsettled(ctx context.Context, id sandbox.ID) ([]Record, error) {
	return j.read(ctx, "journal.Unsettled", id, of(id), func(conn *sqlite.Conn, num int64) ([]Record, error) {
		s, err := conn.Prepare(columns + `AS a WHERE key IN (
			SELECT min(key) FROM record WHERE key >> 36 = ? AND action <> '' GROUP BY action
			HAVING sum(type = 'action') > 0 AND sum(type = 'observation') = 0) ORDER BY key`)
		if err != nil {
			return nil, err
		}
		s.BindInt64(1, num)
		return collect(s, id, math.MaxInt)
	})
}

// read runs f on a connection for reading, with the number of id, once what is pending and concerns it is there.
func (j *Journal) read(ctx context.Context, op string, id sandbox.ID, concerns func(*entry) bool,
	f func(*sqlite.Conn, int64) ([]Record, error)) ([]Record, error) {
	var recs []Record
	err := j.side.drain(ctx, concerns)
	if err != nil {
		return nil, failure(op, id, j.path, err)
	}
	err = j.view(ctx, func(conn *sqlite.Conn) error {
		num, err := lookup(conn, id)
		if err == nil {
			recs, err = f(conn, num)
		}
		return err
	})
	if err != nil {
		return nil, failure(op, id, j.path, err)
	}
	return recs, nil
}

// lookup is the number of runtime id.
func lookup(conn *sqlite.Conn, id sandbox.ID) (num int64, err error) {
	s, err := conn.Prepare("SELECT num FROM runtime WHERE id = ?")
	if err != nil {
		return 0, err
	}
	s.BindText(1, string(id))
	row, err := s.Step()
	if row {
		num = s.ColumnInt64(0)
	}
	if err := errors.Join(err, s.Reset()); err != nil {
		return 0, err
	}
	if !row {
		return 0, refuse(sandbox.NotFound, "no runtime of this id in the journal")
	}
	return num, nil
}

func collect(s *sqlite.Stmt, id sandbox.ID, maxBytes int) (recs []Record, err error) {
	defer func() { err = errors.Join(err, s.Reset()) }()
	for held := 0; held < maxBytes; {
		row, err := s.Step()
		if err != nil || !row {
			return recs, err
		}
		body := make(json.RawMessage, s.ColumnLen(5))
		s.ColumnBytes(5, body)
		recs = append(recs, Record{
			Runtime:  id,
			Seq:      uint64(s.ColumnInt64(0) & maxSeq),
			Time:     time.Unix(0, s.ColumnInt64(1)).UTC(),
			Type:     s.ColumnText(2),
			ActionID: s.ColumnText(3),
			Epoch:    uint64(s.ColumnInt64(4)),
			Body:     body,
		})
		held += len(body)
	}
	return recs, nil
}
