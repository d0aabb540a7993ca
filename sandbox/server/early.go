package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox/shell"
)

// shells is a main shell that has been started, or why not.
type shells struct {
	sessions *sessions
	err      error
}

// early opens the server, and starts the main shell before, since the one takes about as long as the other to load. Nil, and
// no shell, if an earlier server may have left something, which has to end before. What starts the shell opens the server
// as soon as it runs, on the same goroutine, and only then has it read something: see started.
func (s *Server) early() <-chan shells {
	if s.config.Shell == nil && !s.config.untouched() { // with one, it was looked before that
		s.open()
		return nil
	}
	begun, over := make(chan shells, 1), make(chan struct{})
	s.working.Go(func() {
		defer close(over)
		opened, err := s.openShells()
		begun <- shells{opened, err}
	})
	select {
	case <-s.born:
		return begun
	case <-over:
	}
	select {
	case <-s.born:
	default: // no shell could be started
		s.open()
	}
	return begun
}

// untouched says that no earlier server can have left anything: there is no record, and nothing in the cgroup.
func (c Config) untouched() bool {
	switch {
	case c.StateDir == "":
		return false
	case c.State.is(c):
		return true // the record is ours
	}
	if _, err := os.Lstat(filepath.Join(c.StateDir, reap.RecordFile)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if c.Cgroup == "" {
		return true
	}
	procs, err := reap.InCgroup(c.Cgroup)()
	return err == nil && len(procs) == 0
}

func (s *Server) openShells() (*sessions, error) {
	c := s.config
	if err := os.MkdirAll(c.Dir, 0o775); err != nil {
		return nil, err
	}
	defer c.Shell.Close() // if it is another that is asked for
	sc := c.shell()
	sc.OnStart, sc.Crowd = s.started, s.others
	return openSessions(sc)
}

// shell is what of c concerns shells.
func (c Config) shell() shell.Config {
	return shell.Config{Dir: c.Dir, Env: c.environment(), User: c.User,
		NoChange: c.NoChange, Cgroup: c.Cgroup, Processes: c.Processes, Prepared: c.Shell}
}

// PrepareShell starts the shell of a server that is not made yet, perhaps because not all of c is known. As Config.Shell the
// server takes it, if it is the shell that is asked for then, else it ends it; whoever comes to no server closes it. Given one
// already, that is kept if it still is the right one, and ended if not. Where nothing of c is known but variables, Dir and HOME
// are left out. Nil if none is to be had.
func PrepareShell(c Config) *shell.Prepared {
	wanted := true
	if c.Dir != "" {
		var err error
		if c, err = c.check(); err != nil || !c.untouched() {
			wanted = false
		} else if c.Shell.Fits(c.shell()) {
			return c.Shell
		}
	}
	c.Shell.Close()
	if c.Shell = nil; !wanted {
		return nil
	}
	p, err := shell.Prepare(c.shell())
	if err != nil { // the server will say so, if it still is so
		return nil
	}
	return p
}

// giveUp ends the shell that early has begun to start.
func (s *Server) giveUp(begun <-chan shells) error {
	s.mu.Lock()
	s.stopping = true // at which started ends a shell that is not ready
	s.mu.Unlock()
	close(s.opened)
	if begun == nil {
		return nil
	}
	if b := <-begun; b.err == nil {
		return b.sessions.close()
	}
	return nil
}
