package files

import (
	"fmt"
	"slices"
)

// maxUndo is how many edits of one file can be undone.
const maxUndo = 10

// history is what edited files held before, oldest first, for undo_edit. It bounds its memory by dropping the oldest.
type history struct {
	max     int64 // bytes
	size    int64
	entries []pastContent
}

type pastContent struct {
	file    string
	content []byte
}

func (e pastContent) size() int64 { return int64(len(e.file)+len(e.content)) + 64 }

func (h *history) push(file string, content []byte) {
	kept, oldest := 0, 0
	for i := len(h.entries) - 1; i >= 0; i-- {
		if h.entries[i].file == file {
			kept, oldest = kept+1, i
		}
	}
	if kept >= maxUndo {
		h.drop(oldest)
	}
	h.entries = append(h.entries, pastContent{file, content})
	h.size += h.entries[len(h.entries)-1].size()
	for h.size > h.max {
		h.drop(0)
	}
}

// pop takes the newest entry of file.
func (h *history) pop(file string) ([]byte, bool) {
	for i := len(h.entries) - 1; i >= 0; i-- {
		if e := h.entries[i]; e.file == file {
			h.drop(i)
			return e.content, true
		}
	}
	return nil, false
}

func (h *history) drop(i int) {
	h.size -= h.entries[i].size()
	h.entries = slices.Delete(h.entries, i, i+1)
}

// historyKey is the file that p leads to, so that two names of one file share what it was.
func historyKey(p string) string {
	if q, err := landing(p); err == nil {
		return q
	}
	return p
}

// undo gives the file p what it held before its last edit, to the byte. An undo cannot be undone.
func (s *Store) undo(p string) (change, error) {
	t, _, fi, err := load(p)
	if err != nil {
		return change{}, err
	}
	b, ok := s.history.pop(historyKey(p))
	if !ok {
		return change{}, refusef("No edit history found for %s.", p)
	}
	was, err := decode(b)
	if err == nil {
		err = s.rewrite(p, b, fi)
	}
	if err != nil {
		s.history.push(historyKey(p), b)
		return change{}, refusef("Ran into %s while trying to write to %s", python(err, p), p)
	}
	return change{
		output: fmt.Sprintf("Last edit to %s undone successfully. %s", p, numbered(was.lines, p, 1)),
		before: t.lines,
		after:  was.lines,
	}, nil
}
