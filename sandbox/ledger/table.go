package ledger

import (
	"encoding/binary"
	"io"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// A table is a set of keys in a file of a fixed size: a hash table with linear probing, 8 bytes a slot. In memory there is
// one byte a slot, which says for nearly all keys that are not in the set that they are not: the file is read for one in a
// hundred of them.
type table struct {
	f     *os.File
	tags  []byte // 0 for a free slot, else a byte of the key in it
	taken int
}

const (
	keySize  = 8
	minSlots = 4
)

// makeTable makes an empty table in a new file. The room is taken at once, so that no disk is too full later.
func makeTable(f *os.File, tags []byte) (*table, error) {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(len(tags))*keySize); err == unix.EOPNOTSUPP {
		err = f.Truncate(int64(len(tags)) * keySize)
		return &table{f: f, tags: tags}, err
	} else if err != nil {
		return nil, os.NewSyscallError("fallocate", err)
	}
	return &table{f: f, tags: tags}, nil
}

// readTable reads what is in a file; nil if its maker died before it was a table.
func readTable(f *os.File) (*table, error) {
	st, err := f.Stat()
	if err != nil || st.Size()/keySize < minSlots {
		return nil, err
	}
	t := &table{f: f, tags: make([]byte, st.Size()/keySize)}
	buf := make([]byte, 64<<10)
	for i := 0; i < len(t.tags); {
		n, err := f.ReadAt(buf[:min(len(buf), (len(t.tags)-i)*keySize)], int64(i)*keySize)
		if err != nil && err != io.EOF {
			return nil, err
		}
		for b := buf[:n]; len(b) >= keySize; b, i = b[keySize:], i+1 {
			if k := key(binary.BigEndian.Uint64(b)); k != 0 {
				t.tags[i] = k.tag()
				t.taken++
			}
		}
		if n < keySize {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return t, nil
}

// full says that one more would make the runs of taken slots long.
func (t *table) full() bool { return t.taken >= len(t.tags)*3/4 }

// find gives the slot where k is, or else the free slot where it would be.
func (t *table) find(k key) (slot int, found bool, err error) {
	home, _ := bits.Mul64(uint64(k), uint64(len(t.tags)))
	for i := int(home); ; i++ {
		if i == len(t.tags) {
			i = 0
		}
		switch t.tags[i] {
		case 0:
			return i, false, nil
		case k.tag():
			var b [keySize]byte
			if _, err := t.f.ReadAt(b[:], int64(i)*keySize); err != nil {
				return 0, false, err
			}
			if key(binary.BigEndian.Uint64(b[:])) == k {
				return i, true, nil
			}
		}
	}
}

// add puts k into a table that is not full.
func (t *table) add(k key) error {
	slot, found, err := t.find(k)
	if err != nil || found {
		return err
	}
	var b [keySize]byte
	binary.BigEndian.PutUint64(b[:], uint64(k))
	if _, err := t.f.WriteAt(b[:], int64(slot)*keySize); err != nil {
		return err
	}
	t.tags[slot] = k.tag()
	t.taken++
	return nil
}

func (t *table) close() error {
	if t == nil {
		return nil
	}
	return t.f.Close()
}
