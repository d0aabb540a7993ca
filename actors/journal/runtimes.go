package journal

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// A RuntimeRow is what the journal knows of a runtime besides its history: enough to find it again after the death of
// the process that made it.
type RuntimeRow struct {
	ID        sandbox.ID      `json:"id"`
	Backend   string          `json:"backend"`
	Status    sandbox.Status  `json:"status"`
	Workspace string          `json:"workspace"`
	Spec      json.RawMessage `json:"spec,omitempty"` // as the owner wrote it; no secrets
	Epoch     uint64          `json:"epoch"`

	// The rest is told by the journal and not looked at by SaveRuntime.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"` // when it was saved last
	LastSeq uint64    `json:"last_seq"`
	Holder  string    `json:"holder,omitempty"` // owner of the lease; "" if it is free, has expired, or its process has ended
	Expires time.Time `json:"expires,omitzero"` // of that lease
}

// SaveRuntime makes or replaces the row of row.ID. Codes: Conflict (row.Epoch is lower than the runtime's), and those of Append.
func (j *Journal) SaveRuntime(ctx context.Context, row RuntimeRow) error {
	const op = "journal.SaveRuntime"
	if err := row.ID.Check(); err != nil {
		return failure(op, row.ID, j.path, err)
	}
	err := j.do(ctx, func(w *writer) error {
		w.create.BindText(1, string(row.ID))
		if err := w.create.run(); err != nil {
			return err
		}
		num, have, err := w.runtime(row.ID)
		if err != nil {
			return err
		}
		if err := w.fence(num, have, row.Epoch); err != nil {
			return err
		}
		w.save.BindInt64(1, time.Now().UnixNano())
		w.save.BindText(2, row.Backend)
		w.save.BindText(3, string(row.Status))
		w.save.BindText(4, row.Workspace)
		w.save.BindBytes(5, row.Spec)
		w.save.BindInt64(6, num)
		return w.save.run()
	})
	return failure(op, row.ID, j.path, err)
}

// RemoveRuntime forgets runtime id with its history and lease. epoch is that of the caller's lease.
// Codes: Conflict (epoch is lower than the runtime's), NotFound, and those of Append.
func (j *Journal) RemoveRuntime(ctx context.Context, id sandbox.ID, epoch uint64) error {
	old := j.side.letGo(id)
	err := j.side.drain(ctx, of(id))
	if err != nil {
		j.side.hold(id, old)
		return failure("journal.RemoveRuntime", id, j.path, err)
	}
	err = j.do(ctx, func(w *writer) error {
		num, have, err := w.runtime(id)
		if err != nil {
			return err
		}
		if epoch < uint64(have) {
			return w.fence(num, have, epoch)
		}
		w.floor.BindInt64(1, int64(epoch))
		w.clear.BindInt64(1, num<<seqBits)
		w.clear.BindInt64(2, (num+1)<<seqBits)
		w.forget.BindInt64(1, num)
		w.touched = append(w.touched, id)
		return errors.Join(w.floor.run(), w.clear.run(), w.forget.run())
	})
	return failure("journal.RemoveRuntime", id, j.path, err)
}

const rows = `SELECT id, epoch, owner, process, expires, created, updated, backend, status, workspace, spec,
	(SELECT max(key) FROM record WHERE key > num << 36 AND key < (num + 1) << 36) FROM runtime WHERE created IS NOT NULL `

// Runtimes lists the saved runtimes, oldest first. Codes: Unavailable, Canceled.
func (j *Journal) Runtimes(ctx context.Context) ([]RuntimeRow, error) {
	return j.rows(ctx, "journal.Runtimes", "", rows+"ORDER BY created")
}

// Runtime gives the row of one runtime. Codes: NotFound (not saved, or removed), Unavailable, Canceled.
func (j *Journal) Runtime(ctx context.Context, id sandbox.ID) (RuntimeRow, error) {
	const op = "journal.Runtime"
	found, err := j.rows(ctx, op, id, rows+"AND id = ?")
	if err != nil {
		return RuntimeRow{}, err
	}
	if len(found) == 0 {
		return RuntimeRow{}, &sandbox.Error{Code: sandbox.NotFound, Op: op, ID: id, Err: errors.New("no such runtime in the journal")}
	}
	return found[0], nil
}

func (j *Journal) rows(ctx context.Context, op string, id sandbox.ID, query string) (found []RuntimeRow, err error) {
	wanted := anyone
	if id != "" {
		wanted = of(id)
	}
	if err = j.inherit(ctx); err == nil {
		err = j.side.drain(ctx, wanted)
	}
	if err != nil {
		return nil, failure(op, id, "", err)
	}
	err = j.view(ctx, func(conn *sqlite.Conn) (err error) {
		s, err := conn.Prepare(query)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Reset()) }()
		if id != "" {
			s.BindText(1, string(id))
		}
		for {
			row, err := s.Step()
			if err != nil || !row {
				return err
			}
			found = append(found, scan(s))
		}
	})
	return found, failure(op, id, "", err)
}

func scan(s *sqlite.Stmt) RuntimeRow {
	r := RuntimeRow{
		ID:        sandbox.ID(s.ColumnText(0)),
		Epoch:     uint64(s.ColumnInt64(1)),
		Created:   time.Unix(0, s.ColumnInt64(5)).UTC(),
		Updated:   time.Unix(0, s.ColumnInt64(6)).UTC(),
		Backend:   s.ColumnText(7),
		Status:    sandbox.Status(s.ColumnText(8)),
		Workspace: s.ColumnText(9),
		LastSeq:   uint64(s.ColumnInt64(11) & maxSeq),
	}
	if n := s.ColumnLen(10); n > 0 {
		r.Spec = make(json.RawMessage, n)
		s.ColumnBytes(10, r.Spec)
	}
	owner, process, expires := s.ColumnText(2), s.ColumnText(3), time.UnixMilli(s.ColumnInt64(4)).UTC()
	if owner != "" && expires.After(time.Now()) && !ended(process) {
		r.Holder, r.Expires = owner, expires
	}
	return r
}
