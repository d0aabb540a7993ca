package journal

import (
	"context"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Append adds recs to the history of runtime id, in order and together, and returns the sequence number of the first;
// it is durable then. The records' Runtime, Seq and Epoch are not looked at. epoch is that of the caller's lease.
// ctx bounds the wait for earlier writers; Canceled means that nothing was written.
//
// Codes: Conflict (epoch is lower than the runtime's), NotFound (neither acquired nor saved yet, or removed), Invalid,
// Exhausted (disk full), Denied, Unavailable (closed, or locked for too long), Canceled.
func (j *Journal) Append(ctx context.Context, id sandbox.ID, epoch uint64, recs ...Record) (uint64, error) {
	const op = "journal.Append"
	if err := check(recs); err != nil {
		return 0, failure(op, id, j.path, err)
	}
	if err := j.side.drain(ctx, of(id)); err != nil {
		return 0, failure(op, id, j.path, err)
	}
	j.side.hear(id, recs) // before they can be looked for
	var first uint64
	now := time.Now()
	err := j.do(ctx, func(w *writer) (err error) {
		first, err = w.append(id, epoch, recs, now)
		return err
	})
	if err != nil {
		return 0, failure(op, id, j.path, err)
	}
	return first, nil
}

func (w *writer) append(id sandbox.ID, epoch uint64, recs []Record, now time.Time) (uint64, error) {
	num, have, err := w.runtime(id)
	if err != nil {
		return 0, err
	}
	if err := w.fence(num, have, epoch); err != nil {
		return 0, err
	}
	key, err := w.lastKey(num)
	if err != nil {
		return 0, err
	}
	first := uint64(key&maxSeq) + 1
	for i := range recs {
		if err := w.insert(key+1+int64(i), &recs[i], epoch, now); err != nil {
			return 0, err
		}
		w.bytes += len(recs[i].Body) + 2*pageSize
	}
	if len(recs) > 0 {
		w.touched = append(w.touched, id)
	}
	return first, nil
}
