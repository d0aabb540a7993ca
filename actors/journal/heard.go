package journal

import (
	"context"
	"errors"
	"hash/maphash"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

// Most actions that are looked for are new, and a query costs more than sending them. So the holder of a lease, who is
// the only one to add to a runtime's history, keeps in mind which action ids there are: as hashes, since a mistake
// costs a query and nothing else.
type heard struct {
	ids    map[uint64]struct{} // nil: too many to keep in mind
	loaded bool                // those of before are among them
}

// heardMax bounds what is kept in mind of one runtime: a million ids, some 20 MB.
const heardMax = 1 << 20

var heardSeed = maphash.MakeSeed()

func newHeard() *heard { return &heard{ids: map[uint64]struct{}{}} }

func (h *heard) add(actionID string) {
	if actionID == "" || h.ids == nil {
		return
	}
	if len(h.ids) == heardMax {
		h.ids = nil
		return
	}
	h.ids[maphash.String(heardSeed, actionID)] = struct{}{}
}

// unheard says whether it is certain that no record is about the action.
func (j *Journal) unheard(ctx context.Context, id sandbox.ID, actionID string) (bool, error) {
	s := &j.side
	s.mu.Lock()
	held := s.held[id]
	s.mu.Unlock()
	if held.heard == nil {
		return false, nil
	}
	if err := j.load(ctx, id, held.heard); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held.heard.ids == nil || s.held[id] != held {
		return false, nil
	}
	_, ok := held.heard.ids[maphash.String(heardSeed, actionID)]
	return !ok, nil
}

// load adds the ids that were there before the lease. Those that come meanwhile are added by their writers.
func (j *Journal) load(ctx context.Context, id sandbox.ID, h *heard) error {
	s := &j.side
	s.mu.Lock()
	done := h.loaded || h.ids == nil
	s.mu.Unlock()
	if done {
		return nil
	}
	var ids []string
	err := j.view(ctx, func(conn *sqlite.Conn) error {
		num, err := lookup(conn, id)
		if err != nil {
			return err
		}
		ids, err = actionIDs(conn, num, heardMax)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, action := range ids {
		h.add(action)
	}
	h.loaded = true
	return nil
}

func actionIDs(conn *sqlite.Conn, num int64, limit int) (ids []string, err error) {
	q, err := conn.Prepare("SELECT DISTINCT action FROM record WHERE key >> 36 = ? AND action <> '' LIMIT ?")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.Reset()) }()
	q.BindInt64(1, num)
	q.BindInt64(2, int64(limit))
	for {
		row, err := q.Step()
		if err != nil || !row {
			return ids, err
		}
		ids = append(ids, q.ColumnText(0))
	}
}
