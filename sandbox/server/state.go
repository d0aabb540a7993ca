package server

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/ledger"
)

// State is what a server has open in its state directory. One that was opened before all of a Config was known is taken by the
// server of that directory and cgroup (Config.State), which is no different for that. Safe for concurrent use.
type State struct {
	dir, cgroup string

	mu sync.Mutex
	opened
}

// opened is what there is of a State; all nil once it is a server's, or closed.
type opened struct {
	ledger *ledger.Ledger
	record *reap.Record // nil without a directory
	memory *memoryWatch
}

// OpenState opens the state of a server that is not made yet, of whose Config nothing is known but Dir, StateDir and Cgroup. Nil
// if none is to be had, or an earlier server may have left something. Whoever comes to no server closes it.
func OpenState(c Config) *State {
	c, err := c.check()
	if err != nil || !c.untouched() {
		return nil
	}
	o, left, err := c.openState()
	if err == nil && !left.possible {
		return &State{dir: c.StateDir, cgroup: c.Cgroup, opened: o}
	}
	o.close(!left.possible)
	return nil // the server will say so, if it still is so
}

// openState opens it, and says what an earlier server has left. After an error there may be something to close.
func (c Config) openState() (o opened, left leftovers, err error) {
	path := ""
	if c.StateDir != "" {
		if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
			return o, left, openError("state directory", err)
		}
		path = filepath.Join(c.StateDir, "ledger")
	}
	o.memory = newMemoryWatch(c.Cgroup)
	if o.ledger, err = ledger.Open(ledger.Config{Path: path}); err != nil || path == "" {
		return o, left, err
	}
	// The ledger's lock keeps other servers off the record too.
	if o.record, left.leaders, left.possible, err = reap.OpenRecord(filepath.Join(c.StateDir, reap.RecordFile)); err != nil {
		return o, left, openError("record of sessions", err)
	}
	return o, left, nil
}

// openError is err of New, which says what it was about; what has a code keeps it.
func openError(what string, err error) error {
	if sandbox.CodeOf(err) != sandbox.Internal {
		return err
	}
	return &sandbox.Error{Code: sandbox.Internal, Op: "server.New", Err: fmt.Errorf("%s: %w", what, err)}
}

// is says whether it is the state of a server of c, which nobody has taken. A nil State is none.
func (s *State) is(c Config) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger != nil && s.dir == c.StateDir && s.cgroup == c.Cgroup
}

// take gives it to a server of c, if it is the state of one; else it is closed, for both cannot have it.
func (s *State) take(c Config) (o opened, ok bool) {
	if !s.is(c) {
		s.Close()
		return o, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, s.opened = s.opened, opened{}
	return o, o.ledger != nil
}

// Close closes what no server has taken, and leaves nothing that the next one would have to look at. Of a nil State it does nothing.
func (s *State) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened.close(true)
	s.opened = opened{}
}

// close closes what is open. unused says that no server has used it, and that there was none before.
func (o opened) close(unused bool) {
	switch {
	case o.record == nil:
	case unused:
		_ = o.record.Remove() // what stays means no more than that the next server looks for what there is not
	default:
		_ = o.record.Close()
	}
	if o.ledger != nil {
		_ = o.ledger.Close()
	}
}
