package journal

import (
	"context"
	"math"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// LastActive is when the last action of runtime id was recorded, or what was seen of it; zero if there has been none.
// Codes: NotFound (no such runtime), Unavailable, Canceled.
func (j *Journal) LastActive(ctx context.Context, id sandbox.ID) (time.Time, error) {
	recs, err := j.read(ctx, "journal.LastActive", id, of(id), func(conn *sqlite.Conn, num int64) ([]Record, error) {
		s, err := conn.Prepare(columns + "WHERE key > ? AND key < ? AND action <> '' ORDER BY key DESC LIMIT 1")
		if err != nil {
			return nil, err
		}
		s.BindInt64(1, num<<seqBits)
		s.BindInt64(2, (num+1)<<seqBits)
		return collect(s, id, math.MaxInt)
	})
	if err != nil || len(recs) == 0 {
		return time.Time{}, err
	}
	return recs[0].Time, nil
}
