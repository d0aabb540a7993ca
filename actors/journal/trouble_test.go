package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	database := func(name, script string) string {
		path := filepath.Join(dir, name)
		conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
		if err == nil {
			err = sqlitex.ExecuteScript(conn, script, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		config Config
		code   sandbox.Code
		say    string
	}{
		"no path":         {Config{}, sandbox.Invalid, "path"},
		"bad mode":        {Config{Path: "x", Sync: "sometimes"}, sandbox.Invalid, "sync"},
		"no database":     {Config{Path: file("text", []byte(strings.Repeat("no database ", 100)))}, sandbox.Invalid, "no journal"},
		"another's":       {Config{Path: database("other", "CREATE TABLE t (x)")}, sandbox.Invalid, "another program"},
		"a newer one":     {Config{Path: database("newer", "PRAGMA application_id = 1935963250; PRAGMA user_version = 2; CREATE TABLE t (x)")}, sandbox.Unsupported, "newer"},
		"a directory":     {Config{Path: dir}, sandbox.Invalid, "file"},
		"below a file":    {Config{Path: filepath.Join(file("plain", nil), "journal.db")}, sandbox.Invalid, "file"},
		"cut in two":      {Config{Path: cut(t)}, sandbox.Invalid, "damaged"},
		"without a table": {Config{Path: database("bare", "PRAGMA application_id = 1935963250; PRAGMA user_version = 1; CREATE TABLE t (x)")}, sandbox.Internal, "no such table"},
	} {
		j, err := Open(c.config)
		if err == nil {
			j.Close()
		}
		if sandbox.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: want %s and %q, got %v", name, c.code, c.say, err)
		}
	}
}

// cut makes a journal of which the second half is missing.
func cut(t *testing.T) string {
	path := temp(t)
	j, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	acquire(t, j, "a")
	for range 10 {
		if _, err := j.Append(t.Context(), "a", 1, Record{Type: TypeNote, Body: make(json.RawMessage, 5000)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, pageSize*3/2); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadOnlyDirectory(t *testing.T) {
	need.NotRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Path: filepath.Join(dir, "journal.db")})
	wantCode(t, err, sandbox.Denied)
}

func TestFilesAreTheUsersOwn(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	acquire(t, j, "a")
	for _, suffix := range []string{"", "-wal", "-shm", "-bell"} {
		stat, err := os.Stat(path + suffix)
		if err != nil || stat.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", suffix, stat, err)
		}
	}
}

func TestTheLogBeginsAnewAfterACheckpoint(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	j.checks.every, j.checks.alone = 1<<40, 0 // only here, and the thorough way
	l := acquire(t, j, "a")
	conn, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var longest int64
	const rounds = 5
	for round := range rounds {
		for range 20 {
			if _, err := j.Append(t.Context(), "a", l.Epoch(), Record{Type: TypeNote, Body: make(json.RawMessage, 64<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		j.checkpointOnce(conn)
		stat, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			longest = stat.Size() + 10*pageSize
		} else if stat.Size() > longest {
			t.Errorf("round %d: the log has grown from %d to %d bytes", round, longest, stat.Size())
		}
	}
	if recs, err := j.Read(t.Context(), "a", 20*rounds-1, 0); err != nil || len(recs) != 1 {
		t.Errorf("%d records, %v", len(recs), err)
	}
}
