package server

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
)

// sessions are the shells of the sandbox: the main one, which lasts, and those beside it for one static command or one
// terminal.
type sessions struct {
	main *shell.Session

	mu     sync.Mutex
	config shell.Config        // of those to come
	beside map[closer]struct{} // to be closed with the server
	closed bool
}

type closer interface{ Close() error }

func openSessions(c shell.Config) (*sessions, error) {
	main, err := shell.Start(c)
	if err != nil {
		return nil, err
	}
	return &sessions{config: c, main: main, beside: map[closer]struct{}{}}, nil
}

// static starts a session for one command, in dir, which may be relative to the working directory or "". The caller
// gives it to end.
func (s *sessions) static(dir string) (*shell.Session, error) {
	c := s.settings()
	if filepath.IsAbs(dir) {
		c.Dir = dir
	} else {
		c.Dir = filepath.Join(c.Dir, dir)
	}
	session, err := shell.Start(c)
	if err != nil {
		return nil, err
	}
	return session, s.add(session)
}

// settings are those of the next session.
func (s *sessions) settings() shell.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// setEnv gives sessions to come, and the shells that take the main one's place, more variables.
func (s *sessions) setEnv(vars []string) {
	s.mu.Lock()
	s.config.Env = shell.Merge(s.config.Env, vars)
	s.mu.Unlock()
	s.main.SetEnv(vars)
}

// add notes what is to be closed with the server; if that is closed already, c is too.
func (s *sessions) add(c closer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(refused(sandbox.Unavailable, "server", "it is stopping"), c.Close())
	}
	s.beside[c] = struct{}{}
	return nil
}

// end closes what was added.
func (s *sessions) end(c closer) error {
	s.mu.Lock()
	delete(s.beside, c)
	s.mu.Unlock()
	return c.Close()
}

// close ends every session and what runs in them.
func (s *sessions) close() error {
	s.mu.Lock()
	s.closed = true
	all := []closer{s.main}
	for c := range s.beside {
		all = append(all, c)
	}
	s.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, c := range all { // at a time: each waits for its processes
		wg.Go(func() { errs[i] = c.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
