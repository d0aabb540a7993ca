package ledger

import "encoding/binary"

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
		l.gone.add(keyOf(old.id))
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

func appendUint64(dst []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(dst, n) }
