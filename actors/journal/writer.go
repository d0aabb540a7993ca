package journal

import (
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// A writer is the connection that changes the file, with its statements. Its holder has Journal.connMu.
type writer struct {
	conn                    *sqlite.Conn
	begin, commit, rollback stmt
	find, create, last, add stmt
	raise, dataVersion      stmt
	holder, take, extend    stmt
	save                    stmt
	floor, clear, forget    stmt
	restart                 stmt
	sideLast, sideNote      stmt
	sideForget              stmt

	touched []sandbox.ID // runtimes with new records in this transaction
	bytes   int          // about what they add to the log
	records int          // how many they are
}

// stmt is a statement that returns to its start after each use.
type stmt struct{ *sqlite.Stmt }

func newWriter(conn *sqlite.Conn) (*writer, error) {
	var errs []error
	p := func(query string) stmt {
		s, err := conn.Prepare(query)
		errs = append(errs, err)
		return stmt{s}
	}
	w := &writer{
		conn:        conn,
		begin:       p("BEGIN IMMEDIATE"),
		commit:      p("COMMIT"),
		rollback:    p("ROLLBACK"),
		find:        p("SELECT num, epoch FROM runtime WHERE id = ?"),
		create:      p("INSERT OR IGNORE INTO runtime (id, epoch) SELECT ?, floor FROM meta"),
		last:        p("SELECT key FROM record WHERE key < ? ORDER BY key DESC LIMIT 1"),
		add:         p("INSERT INTO record (key, time, type, action, epoch, body) VALUES (?, ?, ?, ?, ?, ?)"),
		raise:       p("UPDATE runtime SET epoch = ?, owner = '', process = '', expires = 0 WHERE num = ?"),
		dataVersion: p("PRAGMA data_version"),
		holder:      p("SELECT num, epoch, owner, process, expires FROM runtime WHERE id = ?"),
		take:        p("UPDATE runtime SET epoch = ?, owner = ?, process = ?, expires = ? WHERE num = ?"),
		extend:      p("UPDATE runtime SET expires = ? WHERE num = ?"),
		save: p(`UPDATE runtime SET created = ifnull(created, ?1), updated = ?1, backend = ?, status = ?,
			workspace = ?, spec = ? WHERE num = ?`),
		floor:      p("UPDATE meta SET floor = max(floor, ?)"),
		clear:      p("DELETE FROM record WHERE key > ? AND key < ?"),
		forget:     p("DELETE FROM runtime WHERE num = ?"),
		sideLast:   p("SELECT last FROM side WHERE name = ?"),
		sideForget: p("DELETE FROM side WHERE name = ?"),
		sideNote:   p("INSERT INTO side (name, last) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET last = ?2"),
		restart:    p("UPDATE meta SET checkpoints = checkpoints + 1"),
	}
	return w, errors.Join(errs...)
}

// run performs a statement without parameters or rows.
func (s stmt) run() error {
	_, err := s.Step()
	return errors.Join(err, s.Reset())
}

// version is a number that another connection's commit changes and this one's does not.
func (w *writer) version() (int64, error) {
	if _, err := w.dataVersion.Step(); err != nil {
		return 0, errors.Join(err, w.dataVersion.Reset())
	}
	v := w.dataVersion.ColumnInt64(0)
	return v, w.dataVersion.Reset()
}

// runtime looks up the number and epoch of id.
func (w *writer) runtime(id sandbox.ID) (num, epoch int64, err error) {
	w.find.BindText(1, string(id))
	row, err := w.find.Step()
	if row {
		num, epoch = w.find.ColumnInt64(0), w.find.ColumnInt64(1)
	}
	if err := errors.Join(err, w.find.Reset()); err != nil {
		return 0, 0, err
	}
	if !row {
		return 0, 0, refuse(sandbox.NotFound, "no runtime of this id in the journal")
	}
	return num, epoch, nil
}

// fence refuses a writer whose runtime has a newer one, and notes an epoch given by somebody else than Acquire.
func (w *writer) fence(num, have int64, epoch uint64) error {
	switch {
	case epoch < uint64(have):
		return refuse(sandbox.Conflict, "epoch %d is over: the runtime is at epoch %d, another process drives it", epoch, have)
	case epoch == uint64(have):
		return nil
	}
	w.raise.BindInt64(1, int64(epoch))
	w.raise.BindInt64(2, num)
	return w.raise.run()
}

func (w *writer) lastKey(num int64) (int64, error) {
	w.last.BindInt64(1, (num+1)<<seqBits)
	row, err := w.last.Step()
	key := num << seqBits
	if row {
		key = max(key, w.last.ColumnInt64(0)) // the row before may be another runtime's
	}
	return key, errors.Join(err, w.last.Reset())
}

func (w *writer) insert(key int64, r *Record, epoch uint64, now time.Time) error {
	at := r.Time
	if at.IsZero() {
		at = now
	}
	w.add.BindInt64(1, key)
	w.add.BindInt64(2, at.UnixNano())
	w.add.BindText(3, r.Type)
	w.add.BindText(4, r.ActionID)
	w.add.BindInt64(5, int64(epoch))
	if len(r.Body) == 0 {
		w.add.BindBytes(6, []byte("null"))
	} else {
		w.add.BindBytes(6, r.Body)
	}
	w.records++
	return w.add.run()
}
