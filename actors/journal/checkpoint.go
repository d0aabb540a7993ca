package journal

import (
	"context"
	"sync/atomic"

	"zombiezen.com/go/sqlite"
)

// SQLite appends to a log and moves its pages into the file now and then: a checkpoint, with an fsync of each. Left
// to itself it does so in the commit that makes the log long enough, which then takes milliseconds. Here a
// connection of its own does it beside the writer, which goes on meanwhile.
type checkpoints struct {
	logged atomic.Int64  // bytes written to the log since the last one, about
	due    chan struct{} // room for one
}

const (
	checkpointEvery = 4 << 20  // bytes; SQLite's own default is 1000 pages
	checkpointAlone = 64 << 20 // bytes: a log that long means that the writer outruns the checkpoints, so it waits for one
	pageSize        = 4096     // bytes: SQLite's
	commitBytes     = 2 * pageSize
)

// add counts what a commit wrote.
func (c *checkpoints) add(bytes int) {
	if c.logged.Add(int64(bytes+commitBytes)) < checkpointEvery {
		return
	}
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// checkpoint runs until the journal closes. A failure is not told: the log only grows, and what is wrong with the disk
// is told by the next append.
func (j *Journal) checkpoint() {
	var conn *sqlite.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for {
		select {
		case <-j.checks.due:
		case <-j.closing:
			return
		}
		if conn == nil {
			c, err := openConn(j.path, sqlite.OpenReadWrite)
			if err != nil {
				continue
			}
			conn = c
		}
		j.checkpointOnce(conn)
	}
}

func (j *Journal) checkpointOnce(conn *sqlite.Conn) {
	logged := j.checks.logged.Load()
	if logged > checkpointAlone {
		j.connMu.Lock()
		defer j.connMu.Unlock()
	}
	if !passive(conn) {
		return // somebody reads what is older; the next commit asks again
	}
	j.checks.logged.Add(-logged)
	if logged > checkpointAlone {
		return
	}
	// The first write after a full checkpoint begins the log anew and syncs its head. Nobody waits for this one.
	_ = j.do(context.Background(), func(w *writer) error { return w.restart.run() })
}

// passive moves what it can without waiting for anybody, and says whether that was all.
func passive(conn *sqlite.Conn) bool {
	s, err := conn.Prepare("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		return false
	}
	defer s.Reset()
	if row, err := s.Step(); err != nil || !row {
		return false
	}
	return s.ColumnInt64(0) == 0 && s.ColumnInt64(1) == s.ColumnInt64(2)
}
