package ledger

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
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
	if takeRoom(f.sparePath(), spareSize) != nil {
		os.Remove(f.sparePath()) // no room: a part of a spare would only take what is left
		return
	}
	f.spare = true
}

// takeRoom makes a file of that many zeros, which it does not write where the file system can do without.
func takeRoom(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = unix.Fallocate(int(f.Fd()), 0, 0, size); err == unix.EOPNOTSUPP {
		_, err = f.Write(make([]byte, size))
	}
	return errors.Join(err, f.Close())
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
