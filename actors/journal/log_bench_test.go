package journal

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// BenchmarkLogAndCommit is a record's whole way, through the side file into the database, a hundred at a time, as they come in
// from a busy runtime: what an action pays twice, on its path or beside it.
func BenchmarkLogAndCommit(b *testing.B) {
	j, err := Open(Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	l := acquire(b, j, "a")
	body := make(json.RawMessage, 400)
	defer cpu(b)()
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			if err := j.Log(b.Context(), "a", l.Epoch(), Record{Type: TypeAction, ActionID: sandbox.NewActionID(), Body: body}); err != nil {
				b.Fatal(err)
			}
		}
		if err := j.side.drain(b.Context(), anyone); err != nil {
			b.Fatal(err)
		}
	}
}
