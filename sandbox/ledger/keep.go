package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// settleLocked makes the answer visible and lets go of what is too old to keep.
func (l *Ledger) settleLocked(e *Entry, answer []byte) {
	e.answer = answer
	close(e.settled)
	l.done = append(l.done, e)
	l.bytes += int64(len(answer))
	for len(l.done) > l.keep || l.bytes > l.maxBytes && len(l.done) > 1 {
		old := l.done[0]
		l.done[0] = nil
		l.done = l.done[1:]
		l.bytes -= int64(len(old.answer))
		delete(l.entries, old.id)
		l.gone.add(goneKeyOf(old.id))
	}
}

func (l *Ledger) runningLocked() (ids []string) {
	for id, e := range l.entries {
		if _, ok := e.Answer(); !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// goneKey stands for an id whose answer is no longer kept.
type goneKey [16]byte

func goneKeyOf(id string) (k goneKey) {
	sum := sha256.Sum256([]byte(id))
	copy(k[:], sum[:])
	return k
}

// goneSet remembers the last limit keys.
type goneSet struct {
	limit int
	set   map[goneKey]struct{}
	order []goneKey // a ring once it is full
	next  int       // where the oldest stands in a full ring
}

func (g *goneSet) has(id string) bool {
	if len(g.set) == 0 {
		return false
	}
	_, ok := g.set[goneKeyOf(id)]
	return ok
}

func (g *goneSet) add(k goneKey) {
	if _, ok := g.set[k]; ok {
		return
	}
	if g.set == nil {
		g.set = map[goneKey]struct{}{}
	}
	g.set[k] = struct{}{}
	if len(g.order) < g.limit {
		g.order = append(g.order, k)
		return
	}
	delete(g.set, g.order[g.next])
	g.order[g.next] = k
	g.next = (g.next + 1) % g.limit
}

// appendTo appends the keys, oldest first.
func (g *goneSet) appendTo(dst []byte) []byte {
	for i := range g.order {
		k := g.order[(g.next+i)%len(g.order)]
		dst = append(dst, k[:]...)
	}
	return dst
}

func appendUint64(dst []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(dst, n) }
