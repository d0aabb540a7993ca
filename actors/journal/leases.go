package journal

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// Tenure says whether anybody drives a runtime.
type Tenure string

// The tenures.
const (
	Held    Tenure = "held"    // somebody holds the lease
	Stalled Tenure = "stalled" // the lease has lapsed, but the process that took it lives on this host, and has not let go
	Free    Tenure = "free"    // it was let go of, its process has ended, or it has lapsed and nothing is known of its process
)

// A LeaseRow is what the journal knows of the right to drive one runtime.
type LeaseRow struct {
	ID      sandbox.ID
	Epoch   uint64 // of the last lease
	Owner   string // who took that
	Tenure  Tenure
	Left    time.Time       // when the lease ended; zero if it has not. It is late by up to the lease's ttl if the process was killed
	Backend string          // "" if the runtime has not been saved yet
	Spec    json.RawMessage // as of RuntimeRow
}

// Leases lists the leases of all runtimes, also of those that have not been saved. Codes: Unavailable, Canceled.
func (j *Journal) Leases(ctx context.Context) ([]LeaseRow, error) {
	const query = `SELECT id, epoch, owner, process, expires, ifnull(updated, 0), backend, spec FROM runtime`
	var found []LeaseRow
	err := j.view(ctx, func(conn *sqlite.Conn) (err error) {
		s, err := conn.Prepare(query)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Reset()) }()
		now := time.Now()
		for {
			row, err := s.Step()
			if err != nil || !row {
				return err
			}
			found = append(found, scanLease(s, now))
		}
	})
	return found, failure("journal.Leases", "", j.path, err)
}

func scanLease(s *sqlite.Stmt, now time.Time) LeaseRow {
	r := LeaseRow{
		ID: sandbox.ID(s.ColumnText(0)), Epoch: uint64(s.ColumnInt64(1)), Owner: s.ColumnText(2), Backend: s.ColumnText(6),
	}
	if n := s.ColumnLen(7); n > 0 {
		r.Spec = make(json.RawMessage, n)
		s.ColumnBytes(7, r.Spec)
	}
	process, expires, updated := s.ColumnText(3), time.UnixMilli(s.ColumnInt64(4)), time.Unix(0, s.ColumnInt64(5))
	r.Tenure, r.Left = tenure(r.Owner, process, expires, updated, now)
	return r
}

// tenure tells it, and when the lease ended. A release does not say when, but the runtime was saved right before it.
func tenure(owner, process string, expires, updated, now time.Time) (Tenure, time.Time) {
	released := owner == "" || expires.UnixMilli() == 0
	switch {
	case released:
		return Free, updated
	case ended(process) && expires.After(now):
		return Free, now
	case ended(process):
		return Free, expires
	case expires.After(now):
		return Held, time.Time{}
	case lives(process):
		return Stalled, expires
	}
	return Free, expires
}
