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

// early starts the main shell before the rest of the server is opened, which takes about as long as a bash to load. Nil if
// an earlier server may have left something, which has to end before: then there is a record, or something is in the
// cgroup. The shell reads nothing before s.opened is closed: see started.
func (s *Server) early() <-chan shells {
	c := s.config
	if c.StateDir == "" {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(c.StateDir, reap.RecordFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if c.Cgroup != "" {
		if procs, err := reap.InCgroup(c.Cgroup)(); err != nil || len(procs) > 0 {
			return nil
		}
	}
	begun, over := make(chan shells, 1), make(chan struct{})
	s.working.Go(func() {
		defer close(over)
		opened, err := s.openShells()
		begun <- shells{opened, err}
	})
	select { // until it runs: a goroutine that is only to be scheduled loads nothing
	case <-s.born:
	case <-over:
	}
	return begun
}

func (s *Server) openShells() (*sessions, error) {
	c := s.config
	if err := os.MkdirAll(c.Dir, 0o775); err != nil {
		return nil, err
	}
	return openSessions(shell.Config{Dir: c.Dir, Env: c.environment(), User: c.User,
		NoChange: c.NoChange, Cgroup: c.Cgroup, Processes: c.Processes, OnStart: s.started, Crowd: s.others})
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
