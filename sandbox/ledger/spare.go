package ledger

import (
	"errors"
	"os"
	"syscall"
)

// The spare is a file of zeros beside the ledger. When the disk is full it is given up, so that the action which makes
// room again can still be recorded, and so performed.

// spareSize is what a few hundred received actions and short answers take, in bytes.
const spareSize = 64 << 10

// restockAfter is after how many records a new spare is tried for: rarely, since trying on a full disk is slow.
const restockAfter = 32

func (f *file) sparePath() string { return f.path + ".spare" }

// full says whether err is a want of room.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (f *file) makeSpare() {
	f.missed = 0
	if st, err := os.Stat(f.sparePath()); err == nil && st.Size() == spareSize {
		f.spare = true
		return
	}
	if os.WriteFile(f.sparePath(), make([]byte, spareSize), 0o600) != nil {
		os.Remove(f.sparePath()) // no room: a part of a spare would only take what is left
		return
	}
	f.spare = true
}

// useSpare makes room, once.
func (f *file) useSpare() bool {
	if !f.spare {
		return false
	}
	f.spare = false
	return os.Remove(f.sparePath()) == nil
}

// restock sees to it that there will be a spare again.
func (f *file) restock() {
	if f.spare {
		return
	}
	if f.missed++; f.missed >= restockAfter {
		f.makeSpare()
	}
}
