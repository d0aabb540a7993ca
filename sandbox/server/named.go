package server

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// maxSessions is how many named sessions there may be: each is a shell of 3 MB and a few descriptors.
const maxSessions = 256

// The kinds of session.
const (
	kindPTY  = "pty"
	kindPipe = "pipe"
)

// parseSessionSpec reads a spec; no bytes are the usual one. Code: Invalid.
func parseSessionSpec(b []byte) (spec wire.SessionSpec, err error) {
	if err := decodeSpec("session", b, &spec); err != nil {
		return spec, err
	}
	if spec.Kind == "" {
		spec.Kind = kindPTY
	}
	if spec.Kind != kindPTY && spec.Kind != kindPipe {
		return spec, refused(sandbox.Invalid, "session", fmt.Sprintf("kind %.40q is neither: want %s or %s", spec.Kind, kindPTY, kindPipe))
	}
	if err := nulInPath("session", spec.Cwd); err != nil {
		return spec, err
	}
	return spec, checkVariables("session", spec.Env)
}

// A namedShell is a session with a name. Whoever puts it into the table starts it; others wait.
type namedShell struct {
	name  string
	spec  wire.SessionSpec
	made  time.Time
	ready chan struct{} // closed when what follows is set
	// Only after that:
	session *shell.Session
	err     error
}

func (n *namedShell) started() bool {
	select {
	case <-n.ready:
		return n.err == nil
	default:
		return false
	}
}

// Close ends the session once it has started.
func (n *namedShell) Close() error {
	<-n.ready
	if n.err != nil {
		return nil
	}
	return n.session.Close()
}

// open gives the session of that name, started as spec says if there is none. want says that it must be as spec says if
// there is one. fresh says whether it was made. Codes: Conflict (there is another one), Exhausted, and those of shell.Start.
func (s *sessions) open(name string, spec wire.SessionSpec, want bool) (n *namedShell, fresh bool, err error) {
	s.mu.Lock()
	if n = s.named[name]; n != nil {
		s.mu.Unlock()
		<-n.ready
		if n.err == nil && want && !same(n.spec, spec) {
			return nil, false, refused(sandbox.Conflict, "session", "there is another one of this name: take another name, or end it first")
		}
		return n, false, n.err
	}
	switch {
	case s.closed:
		err = errStopping
	case len(s.named) >= maxSessions:
		err = refused(sandbox.Exhausted, "session", fmt.Sprintf("there are %d sessions: end one that is not needed any more (DELETE %sNAME)",
			maxSessions, wire.PathSessions+"/"))
	}
	if err != nil {
		s.mu.Unlock()
		return nil, false, err
	}
	n = &namedShell{name: name, spec: spec, made: time.Now(), ready: make(chan struct{})}
	s.named[name] = n
	c := s.config
	s.mu.Unlock()
	c.Dir, c.Pipes, c.Env = inDir(c.Dir, spec.Cwd), spec.Kind == kindPipe, shell.Merge(c.Env, variables(spec.Env))
	n.session, n.err = shell.Start(c)
	close(n.ready)
	if n.err != nil {
		s.forget(n)
	}
	return n, n.err == nil, n.err
}

// same says whether two specs ask for the same.
func same(a, b wire.SessionSpec) bool {
	return a.Kind == b.Kind && a.Cwd == b.Cwd && slices.Equal(variables(a.Env), variables(b.Env))
}

// forget takes n out of the table; false if it is not there.
func (s *sessions) forget(n *namedShell) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named[n.name] != n {
		return false
	}
	delete(s.named, n.name)
	return true
}

// find gives a session by name. Code: NotFound.
func (s *sessions) find(name string) (*namedShell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.named[name]; n != nil {
		return n, nil
	}
	return nil, refused(sandbox.NotFound, "session", fmt.Sprintf("there is none called %.80q: an action that names it makes one", name))
}

// list gives those that have started, by name.
func (s *sessions) list() []*namedShell {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*namedShell
	for _, n := range s.named {
		if n.started() {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *namedShell) int { return cmp.Compare(a.name, b.name) })
	return all
}

func stateOf(name, kind string, made time.Time, session *shell.Session) wire.Session {
	used := session.Used()
	if used.IsZero() {
		used = made
	}
	return wire.Session{Name: name, Kind: kind, Cwd: session.Cwd(), Busy: session.Busy(), PID: session.Pid(), Started: made.UTC(), Used: used.UTC()}
}

func (n *namedShell) state() wire.Session { return stateOf(n.name, n.spec.Kind, n.made, n.session) }

// listSessions answers with all sessions, the main one first.
func (s *Server) listSessions(a asked) {
	all := []wire.Session{}
	if main := s.sessions.main.there(); main != nil {
		all = append(all, stateOf("", kindPTY, s.contact.began, main))
	}
	for _, n := range s.sessions.list() {
		all = append(all, n.state())
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, all)
}

// getSession answers with one session.
func (s *Server) getSession(a asked) {
	n, err := s.sessions.find(a.rest)
	if err == nil {
		<-n.ready
		err = n.err
	}
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, n.state())
}

// putSession makes a session, or finds that it is there as it is wanted.
func (s *Server) putSession(a asked) {
	spec, err := wire.SessionSpec{}, sandbox.CheckSession(a.rest)
	if err == nil && a.rest == "" {
		err = refused(sandbox.Invalid, "session", "the name is missing in the path: PUT "+wire.PathSessions+"/NAME")
	}
	var b []byte
	if err == nil {
		b, err = s.body(a.RequestCtx)
	}
	if err == nil {
		spec, err = parseSessionSpec(b)
	}
	if err == nil {
		err = s.fence(a.epoch) // the body may have taken long
	}
	var n *namedShell
	fresh := false
	if err == nil {
		n, fresh, err = s.sessions.open(a.rest, spec, true)
	}
	if err != nil {
		s.failBody(a.RequestCtx, err)
		return
	}
	status := fasthttp.StatusOK
	if fresh {
		status = fasthttp.StatusCreated
	}
	answerJSON(a.RequestCtx, status, n.state())
}

// deleteSession ends a session and everything in it. An action that runs in it ends as interrupted; one that waits for
// its turn will make a new session of the same name.
func (s *Server) deleteSession(a asked) {
	n, err := s.sessions.find(a.rest)
	if err == nil && !s.sessions.forget(n) {
		err = refused(sandbox.NotFound, "session", "it has been ended meanwhile: an action that names it makes a new one")
	}
	if err == nil {
		err = n.Close()
	}
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	a.RequestCtx.SetStatusCode(fasthttp.StatusNoContent)
}
