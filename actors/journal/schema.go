package journal

import (
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	schemaVersion = 1          // PRAGMA user_version
	applicationID = 0x73647472 // PRAGMA application_id: "sdtr", so that file(1) and we know the file
	busyTimeout   = 10 * time.Second
)

// One B-tree holds all records, keyed by runtime (upper 27 bits: 134 million) and sequence (lower 36: 68 thousand
// million), so that a runtime's records lie together and the last one is found by one descent. A table WITHOUT ROWID
// would say the same more plainly, but spills every body over 1 kB into pages of its own.
//
// A runtime's epoch outlives the runtime: floor is the highest epoch of any removed one, and a new one begins above it.
const schema = `
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), floor INTEGER NOT NULL, checkpoints INTEGER NOT NULL);
INSERT INTO meta VALUES (1, 0, 0);
CREATE TABLE runtime (
	num       INTEGER PRIMARY KEY AUTOINCREMENT,
	id        TEXT NOT NULL UNIQUE,
	epoch     INTEGER NOT NULL,
	owner     TEXT NOT NULL DEFAULT '',   -- of the lease; '' if it is free
	process   TEXT NOT NULL DEFAULT '',   -- that took the lease, see process_linux.go
	expires   INTEGER NOT NULL DEFAULT 0, -- unix milliseconds
	created   INTEGER,                    -- unix nanoseconds; NULL until it is saved
	updated   INTEGER,
	backend   TEXT NOT NULL DEFAULT '',
	status    TEXT NOT NULL DEFAULT '',
	workspace TEXT NOT NULL DEFAULT '',
	spec      BLOB
);
CREATE TABLE record (
	key    INTEGER PRIMARY KEY, -- num << 36 | seq
	time   INTEGER NOT NULL,    -- unix nanoseconds
	type   TEXT NOT NULL,
	action TEXT NOT NULL,       -- id; '' if none
	epoch  INTEGER NOT NULL,
	body   BLOB NOT NULL
);
CREATE TABLE side ( -- side files, see side.go
	name TEXT PRIMARY KEY,
	last INTEGER NOT NULL -- number of the last entry that is in record
) WITHOUT ROWID;
CREATE INDEX record_action ON record (key >> 36, action, type) WHERE action <> '';
`

const (
	seqBits = 36
	maxSeq  = 1<<seqBits - 1
)

// openWriter opens the connection that writes, laying out a new file. The caller holds the turn.
func openWriter(path, mode string) (*writer, error) {
	conn, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	err = prepare(conn, mode)
	if err == nil {
		var w *writer
		if w, err = newWriter(conn); err == nil {
			return w, nil
		}
	}
	return nil, errors.Join(err, conn.Close())
}

func openReader(path string) (*sqlite.Conn, error) {
	conn, err := openConn(path, sqlite.OpenReadWrite) // a reader too writes to the shared log index
	if err != nil {
		return nil, err
	}
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA query_only = on", nil); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func openConn(path string, flags sqlite.OpenFlags) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(busyTimeout)
	return conn, nil
}

// prepare brings the file to this program's schema and the connection to its modes.
func prepare(conn *sqlite.Conn, mode string) error {
	version, err := number(conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	app, err := number(conn, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := number(conn, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	fresh := version == 0 && app == 0 && tables == 0
	switch {
	case fresh:
	case app != applicationID:
		return refuse(sandbox.Invalid, "a database of another program: give another state directory")
	case version > schemaVersion:
		return refuse(sandbox.Unsupported, "written by a newer sandtree (schema %d, this one knows %d): use that one, or another state directory", version, schemaVersion)
	}
	synchronous := "PRAGMA synchronous = normal"
	if mode == SyncFull {
		synchronous = "PRAGMA synchronous = full"
	}
	// Checkpoints run beside the writer, see checkpoint.go.
	for _, s := range []string{"PRAGMA journal_mode = wal", "PRAGMA wal_autocheckpoint = 0", synchronous} {
		if err := sqlitex.ExecuteTransient(conn, s, nil); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	head := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
	return sqlitex.ExecuteScript(conn, schema+head, nil) // one transaction
}

// number is the first column of the only row of query.
func number(conn *sqlite.Conn, query string) (int64, error) {
	s, err := conn.Prepare(query)
	if err != nil {
		return 0, err
	}
	return sqlitex.ResultInt64(s)
}
