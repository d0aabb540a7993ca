package server

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
)

// sessions are the shells of the sandbox: the main one, which lasts; those with a name, which last until they are ended;
// and those beside them for one static command or one terminal.
type sessions struct {
	main *mainShell

	mu     sync.Mutex
	config shell.Config           // of those to come
	named  map[string]*namedShell // may be starting
	beside map[closer]struct{}    // to be closed with the server
	closed bool
}

type closer interface{ Close() error }

// errStopping is what is told who comes when the server goes.
var errStopping = refused(sandbox.Unavailable, "server", "it is stopping: nothing was done; ask again when one is there")

// openSessions starts the main shell. Where there is no bash, there is none, and all else works.
func openSessions(c shell.Config) (*sessions, error) {
	s := &sessions{config: c, named: map[string]*namedShell{}, beside: map[closer]struct{}{}}
	s.main = &mainShell{of: s, dir: c.Dir}
	if _, err := s.main.get(); err != nil && sandbox.CodeOf(err) != sandbox.Unsupported {
		return nil, err
	}
	return s, nil
}

// A mainShell is the shell that actions without a session run in.
type mainShell struct {
	of  *sessions
	dir string // where it starts

	mu     sync.Mutex
	shell  *shell.Session // nil while there is no bash in the sandbox
	closed bool
}

// get gives the shell, and looks for a bash again if there was none: one may have been installed. Code: Unsupported.
func (m *mainShell) get() (*shell.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shell != nil {
		return m.shell, nil
	}
	if m.closed {
		return nil, errStopping
	}
	started, err := shell.Start(m.of.settings())
	if err != nil {
		return nil, err
	}
	m.shell = started
	return started, nil
}

// there is the shell if there is one.
func (m *mainShell) there() *shell.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shell
}

// has says whether a session has started; "" is the main one.
func (s *sessions) has(name string) bool {
	if name == "" {
		return s.main.there() != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.named[name]
	return n != nil && n.started()
}

// Cwd is the working directory of the main shell, or where it would start.
func (m *mainShell) Cwd() string {
	if s := m.there(); s != nil {
		return s.Cwd()
	}
	return m.dir
}

// Close ends the shell.
func (m *mainShell) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	if s := m.there(); s != nil {
		return s.Close()
	}
	return nil
}

// static starts a session for one command, in dir, which may be relative to the working directory or "". The caller
// gives it to end.
func (s *sessions) static(dir string) (*shell.Session, error) {
	c := s.settings()
	c.Dir = inDir(c.Dir, dir)
	session, err := shell.Start(c)
	if err != nil {
		return nil, err
	}
	return session, s.add(session)
}

// inDir is dir, which may be relative to base.
func inDir(base, dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(base, dir)
}

// settings are those of the next session.
func (s *sessions) settings() shell.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// setEnv gives sessions to come, and the shells that take the place of those that die, more variables.
func (s *sessions) setEnv(vars []string) {
	s.mu.Lock()
	s.config.Env = shell.Merge(s.config.Env, vars)
	all := make([]*namedShell, 0, len(s.named))
	for _, n := range s.named {
		all = append(all, n)
	}
	s.mu.Unlock()
	if main := s.main.there(); main != nil {
		main.SetEnv(vars)
	}
	for _, n := range all {
		if n.started() {
			n.session.SetEnv(vars)
		}
	}
}

// add notes what is to be closed with the server; if that is closed already, c is too.
func (s *sessions) add(c closer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(errStopping, c.Close())
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
	for _, n := range s.named {
		all = append(all, n)
	}
	for c := range s.beside {
		all = append(all, c)
	}
	s.mu.Unlock()
	return closeAll(all)
}

// closing is how many are closed at a time: each waits for its processes, with a patience that begins when its turn comes,
// and looks at all processes there are, so that hundreds at once would only keep each other from ending in time.
const closing = 16

// closeAll closes all, some at a time.
func closeAll(all []closer) error {
	errs := make([]error, len(all))
	turns := make(chan struct{}, closing)
	var wg sync.WaitGroup
	for i, c := range all {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			errs[i] = c.Close()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
