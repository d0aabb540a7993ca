// Package files reads, writes, edits, lists and archives files for the server inside a sandbox.
//
// It has two halves. The first performs what OpenHands clients ask for (the read, write and edit actions, and the list,
// upload and download requests) with the texts, slices and defaults that those clients know. It may touch whatever
// the server may: who is meant to be kept out must be kept out by the sandbox. The second half is the native one (Get,
// Put, Stat, Move, Grep, Watch and so on): it is confined to the working directory and the roots it was given, and nothing leads
// out of those, neither ".." nor a link nor a race to put one there, for every step of a path is taken through os.Root.
//
// Both halves share three habits. Only regular files are opened: a FIFO would wait for ever, and opening a device
// does things. A file is replaced whole, by a rename, with the mode and owner of the one before, so a reader sees the
// old content or the new, and a write cut short leaves nothing. And what is streamed needs the same memory whatever its
// size. Archives that come in are never trusted: their names, links, sizes and kinds are checked before they touch
// anything.
package files

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says where a Store works and for whom.
type Config struct {
	Dir   string   // the working directory, absolute: relative native paths are below it, editor hints speak of it
	Roots []string // further absolute directories that native paths may name

	// UID and GID own new files and directories; -1 leaves them the server's. Only root can give files away: the
	// server of another user ignores them.
	UID, GID int

	MaxRead     int64 // bytes of a file that read returns or write keeps a part of; 0 means 64 MiB
	MaxUnpacked int64 // bytes that one uploaded archive may unpack to; 0 means 16 GiB
	MaxEntries  int   // of one archive, each an inode; 0 means 1,000,000
	MaxHistory  int64 // bytes of old content kept for undo_edit; 0 means 64 MiB
}

const (
	defaultMaxRead     = 64 << 20 // what a kept answer may have, too
	defaultMaxUnpacked = 16 << 30
	defaultMaxEntries  = 1_000_000
	defaultMaxHistory  = 64 << 20
)

// A Store works on the files of one sandbox. Safe for concurrent use.
type Store struct {
	c      Config
	places []*place // those that native paths may name; the first is Dir

	mu      sync.Mutex // held over each edit and write, which read a file before they replace it
	history history
}

// New makes a Store. The directories need not exist yet. Code: Invalid.
func New(c Config) (*Store, error) {
	if c.MaxRead == 0 {
		c.MaxRead = defaultMaxRead
	}
	if c.MaxUnpacked == 0 {
		c.MaxUnpacked = defaultMaxUnpacked
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = defaultMaxEntries
	}
	if c.MaxHistory == 0 {
		c.MaxHistory = defaultMaxHistory
	}
	s := &Store{c: c, history: history{max: c.MaxHistory}}
	for i, dir := range append([]string{c.Dir}, c.Roots...) {
		field := "Dir"
		if i > 0 {
			field = "Roots"
		}
		if err := checkPath(dir); err != nil {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "files.New", Err: fmt.Errorf("%s: %w", field, err)}
		}
		if !filepath.IsAbs(dir) {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "files.New", Err: fmt.Errorf("%s: %q is not absolute", field, dir)}
		}
		s.places = append(s.places, &place{dir: filepath.Clean(dir)})
	}
	return s, nil
}

var errNotRegular = errors.New("is not a regular file")
