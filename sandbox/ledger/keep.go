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

// goneSet remembers the last limit keys, in about 24 bytes each; a map beside the ring took 48. Keys are hashes, so their
// first bytes say where in the index to begin; who can choose ids that meet there has the server's key.
type goneSet struct {
	limit int
	order []goneKey // a ring once it is full
	next  int       // where the oldest stands in a full ring
	index []uint32  // a hash table with linear probing: 1 and the place in order; 0 is free. About half is taken at most
}

// slot is where in the index k stands, or else the free slot where it would.
func (g *goneSet) slot(k goneKey) int {
	i := g.home(k)
	for g.index[i] != 0 && g.order[g.index[i]-1] != k {
		i = (i + 1) & (len(g.index) - 1)
	}
	return i
}

func (g *goneSet) home(k goneKey) int {
	return int(binary.BigEndian.Uint32(k[:])) & (len(g.index) - 1)
}

func (g *goneSet) has(id string) bool {
	return len(g.index) > 0 && g.index[g.slot(goneKeyOf(id))] != 0
}

func (g *goneSet) add(k goneKey) {
	if len(g.index) == 0 || 2*len(g.order) > len(g.index) {
		g.grow()
	}
	if g.index[g.slot(k)] != 0 {
		return
	}
	place := len(g.order)
	if place < g.limit {
		g.order = append(g.order, k)
	} else {
		place = g.next
		g.remove(g.order[place])
		g.order[place] = k
		g.next = (place + 1) % g.limit
	}
	i := g.home(k)
	for g.index[i] != 0 {
		i = (i + 1) & (len(g.index) - 1)
	}
	g.index[i] = uint32(place) + 1
}

// grow makes an index of twice the size.
func (g *goneSet) grow() {
	g.index = make([]uint32, max(64, 2*len(g.index)))
	for place, k := range g.order {
		g.index[g.slot(k)] = uint32(place) + 1
	}
}

// remove takes a key out of the index: those that had to go on beyond its slot move up.
func (g *goneSet) remove(k goneKey) {
	mask := len(g.index) - 1
	free := g.slot(k)
	for i := (free + 1) & mask; g.index[i] != 0; i = (i + 1) & mask {
		if begin := g.home(g.order[g.index[i]-1]); (i-begin)&mask >= (i-free)&mask {
			g.index[free] = g.index[i]
			free = i
		}
	}
	g.index[free] = 0
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
