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
	every  int64         // bytes of log after which one is due
	alone  int64         // bytes of log at which the writer has to wait for one, as it outruns them
}

const (
	checkpointEvery = 16 << 20     // bytes; SQLite's own default is 1000 pages
	checkpointAlone = 64 << 20     // bytes: a log that long means that the writer outruns the checkpoints, so it waits for one
	pageSize        = 4096         // bytes: SQLite's
	commitBytes     = 2 * pageSize // written by a commit besides its records
)

// add counts what a commit wrote.
func (c *checkpoints) add(bytes int) {
	if c.logged.Add(int64(bytes+commitBytes)) < c.every {
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
	j.checks.logged.Store(0)
	length, all := passive(conn)
	if length > j.checks.alone {
		j.connMu.Lock() // for what was written meanwhile
		_, all = passive(conn)
		j.connMu.Unlock()
	}
	if all {
		// The next write begins the log anew, if all of it has been moved, and syncs its head. Nobody waits for this one.
		_ = j.do(context.Background(), func(w *writer) error { return w.restart.run() })
	}
}

// passive moves what it can without waiting for anybody. It tells how long the log is, in bytes, and whether all of it
// has been moved, as far as it went when passive began; if not, somebody reads what is older.
func passive(conn *sqlite.Conn) (length int64, all bool) {
	s, err := conn.Prepare("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		return 0, false
	}
	defer s.Reset()
	if row, err := s.Step(); err != nil || !row {
		return 0, false
	}
	return s.ColumnInt64(1) * pageSize, s.ColumnInt64(0) == 0 && s.ColumnInt64(1) == s.ColumnInt64(2)
}
