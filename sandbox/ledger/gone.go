package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A key stands for an id: the first bytes of its hash, and never 0. That two of a quarter of a million are the same, so that
// a new action would be taken for an old one, happens once in 10^13 actions.
type key uint64

func keyOf(id string) key {
	sum := sha256.Sum256([]byte(id))
	return max(1, key(binary.BigEndian.Uint64(sum[:])))
}

// tag is the last byte of the key, but not 0; the first ones say where in a table it is.
func (k key) tag() byte { return max(1, byte(k)) }

// A goneSet remembers the last limit actions and up to as many before, in files of a fixed size beside the ledger's: an
// action goes to the recent table; when that is full it becomes the older one, and the older one is forgotten.
type goneSet struct {
	path          string // of the recent one's file; "" for files that are in memory only
	limit         int
	recent, older *table // nil while there is none
	tags          []byte // for the next table
	taken         int    // how many of them have memory
	unsaved       []key  // that no table could take, most likely for want of room; the ledger's file keeps them
}

// open reads the tables that there are.
func (g *goneSet) open() (err error) {
	if g.path != "" {
		if g.recent, err = openTable(g.path); err != nil {
			return err
		}
		if g.older, err = openTable(g.olderPath()); err != nil {
			return err
		}
	}
	if g.recent == nil {
		g.tags = g.makeTags()
	}
	return nil
}

func (g *goneSet) olderPath() string { return g.path + ".older" }

// openTable opens a table's file, if there is one.
func openTable(path string) (*table, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := readTable(f)
	if t == nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, err
}

// makeTags makes those of a new table.
func (g *goneSet) makeTags() []byte { return make([]byte, max(minSlots, g.limit*4/3+1)) }

// prepare takes a page of the memory for the next table. The thousandth action is not to take more than the hundredth, but
// all at once would take as long as a bash takes to load.
func (g *goneSet) prepare() {
	if g.taken < len(g.tags) {
		g.tags[g.taken] = 0
		g.taken += os.Getpagesize()
	}
}

func (g *goneSet) has(id string) (bool, error) {
	if g.recent == nil && g.older == nil && len(g.unsaved) == 0 {
		return false, nil
	}
	k := keyOf(id)
	for _, t := range []*table{g.recent, g.older} {
		if t == nil {
			continue
		}
		if _, found, err := t.find(k); err != nil || found {
			return found, err
		}
	}
	return slices.Contains(g.unsaved, k), nil
}

// add remembers an action. What is written outlives the process; what cannot be is kept in memory, and for the snapshot.
func (g *goneSet) add(k key) {
	if g.recent == nil || g.recent.full() {
		if len(g.unsaved)%restockAfter != 0 || g.renew() != nil {
			g.unsaved = append(g.unsaved, k)
			return
		}
		g.unsaved = slices.DeleteFunc(g.unsaved, func(k key) bool { return !g.recent.full() && g.recent.add(k) == nil })
	}
	if g.recent.add(k) != nil {
		g.unsaved = append(g.unsaved, k)
	}
}

// renew makes a recent table.
func (g *goneSet) renew() error {
	if g.recent != nil {
		if g.path != "" {
			if err := os.Rename(g.path, g.olderPath()); err != nil {
				return err
			}
		}
		if g.older != nil {
			g.older.close()
			g.tags = g.older.tags
		}
		g.recent, g.older = nil, g.recent
	}
	if len(g.tags) == 0 {
		g.tags = g.makeTags()
	}
	clear(g.tags)
	f, err := g.create()
	if err != nil {
		return err
	}
	if g.recent, err = makeTable(f, g.tags); err != nil {
		f.Close()
		if g.path != "" {
			os.Remove(g.path) // a part of it would only take what is left
		}
		return err
	}
	g.tags = nil
	return nil
}

func (g *goneSet) create() (*os.File, error) {
	if g.path != "" {
		return os.OpenFile(g.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	fd, err := unix.MemfdCreate("gone", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "gone"), nil
}

func (g *goneSet) close() error { return errors.Join(g.recent.close(), g.older.close()) }
