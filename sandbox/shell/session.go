// Package shell runs commands in a persistent interactive bash on a real terminal.
package shell

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says what shell is wanted.
type Config struct {
	Dir  string              // where it starts; "" is "/"
	Env  []string            // its whole environment, KEY=VALUE
	User *syscall.Credential // nil: the caller's

	NoChange  time.Duration // soft timeout: how long a command may show nothing new; 0 means 10 s
	Cgroup    string        // directory of the cgroup below which the session gets one of its own; "" none
	Processes int           // RLIMIT_NPROC where there is no Cgroup; 0 leaves it
	History   int           // lines kept of one command's output; 0 means 10,500
	OnStart   func(pid int) // called for every shell process before it runs anything; its pid is its session's id
}

const (
	defaultNoChange = 10 * time.Second
	// The window that clients expect holds between 10,001 and about 11,300 lines: after 50,000 lines the 40,000th is
	// still there, and so is the mark that something is missing.
	defaultHistory = 10500
	startupLimit   = 20 * time.Second // for ~/.bashrc; then the shell starts without it
)

// Session is a shell that lives until it is closed; a bash that dies in it is replaced. Safe for concurrent use;
// commands run one at a time.
type Session struct {
	config Config
	view   view
	closed chan struct{}

	mu     sync.Mutex
	sh     *bash
	dir    string // last known working directory
	ending bool

	turn       sync.Mutex // held by Run; guards what follows, and is locked before mu and view.mu
	open       bool       // the last answer was a timeout: there is more to come
	held       string     // a command whose here-document has no end yet
	typed      bool       // something has been typed since the last command began
	timer      *time.Timer
	user, host string
	text       []byte
}

// Start starts a session. It returns once ~/.bashrc has been read and the shell is ready.
// Codes: NotFound (no such directory), Denied, Exhausted (no process, terminal or memory to be had), Unsupported (no bash).
func Start(c Config) (*Session, error) {
	if c.NoChange <= 0 {
		c.NoChange = defaultNoChange
	}
	if c.History <= 0 {
		c.History = defaultHistory
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	s := &Session{config: c, closed: make(chan struct{}), dir: c.Dir, timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	s.view.screen = newScreen(defaultCols, defaultRows, c.History)
	s.view.buf = make([]byte, readSize)
	s.user, s.host = userName(c.User), hostName()
	sh, err := s.launch(c.Dir)
	if err != nil {
		return nil, err
	}
	s.sh = sh
	return s, nil
}

// launch starts a bash in dir and waits until it is ready.
func (s *Session) launch(dir string) (*bash, error) {
	for _, rc := range []string{startup, ""} {
		b, err := startBash(s.config, dir)
		if err != nil {
			return nil, err
		}
		if err = s.prepare(b, rc); err == nil {
			return b, nil
		}
		_ = s.end(b)
		if rc == "" || !errors.Is(err, errNotReady) {
			return nil, err
		}
	}
	panic("unreachable")
}

var errNotReady = errors.New("the shell did not become ready")

// prepare limits b, has it read rc and then what every shell needs, and waits until that is done.
func (s *Session) prepare(b *bash, rc string) error {
	if err := s.confine(b); err != nil {
		return err
	}
	if s.config.OnStart != nil {
		s.config.OnStart(b.pid)
	}
	s.view.mu.Lock()
	s.view.mute = true
	s.view.mu.Unlock()
	b.wg.Go(func() { s.view.pump(b) })
	if err := b.begin(rc); err != nil {
		return startError(err)
	}
	s.timer.Reset(startupLimit)
	defer s.timer.Stop()
	for {
		_, done, dead, _ := b.news()
		if done {
			break
		}
		if dead {
			return &sandbox.Error{Code: sandbox.Exhausted, Op: "shell.Start", Err: errNotReady}
		}
		select {
		case <-b.wake:
		case <-s.closed:
			return errClosed
		case <-s.timer.C:
			return &sandbox.Error{Code: sandbox.Exhausted, Op: "shell.Start", Err: errNotReady}
		}
	}
	s.view.mu.Lock()
	s.view.drainLocked(b)
	s.view.mute = false
	s.view.mu.Unlock()
	return nil
}

var errClosed = &sandbox.Error{Code: sandbox.Conflict, Op: "shell", Err: errors.New("the session is closed")}

// current is the bash that there is, started anew if the last one has died.
func (s *Session) current() (*bash, error) {
	s.mu.Lock()
	b, ending := s.sh, s.ending
	s.mu.Unlock()
	if ending {
		return nil, errClosed
	}
	if b != nil {
		if _, _, dead, _ := b.news(); !dead {
			return b, nil
		}
	}
	return s.replace(b)
}

// replace starts a bash in place of old, which is dead, in the directory where that was.
func (s *Session) replace(old *bash) (*bash, error) {
	dir := s.Cwd()
	if old != nil {
		s.view.mu.Lock()
		s.view.drainLocked(old)
		s.view.mu.Unlock()
		old.close()
		s.mu.Lock()
		s.sh, s.dir = nil, dir
		s.mu.Unlock()
	}
	var b *bash
	var err error
	for _, d := range []string{dir, s.config.Dir, "/"} {
		b, err = s.launch(d)
		if c := sandbox.CodeOf(err); c != sandbox.NotFound && c != sandbox.Denied {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	ending := s.ending
	if !ending {
		s.sh = b
	}
	s.mu.Unlock()
	if ending {
		_ = s.end(b)
		return nil, errClosed
	}
	return b, nil
}

// Cwd is the working directory after the last command that has ended.
func (s *Session) Cwd() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sh != nil {
		if r, _, _, _ := s.sh.news(); strings.HasPrefix(r.dir, "/") {
			return r.dir
		}
	}
	return s.dir
}

// Pid is the process id of the shell, which is also its session's id; 0 if none is running.
func (s *Session) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sh == nil {
		return 0
	}
	return s.sh.pid
}

// Alive says whether the session has a shell that runs.
func (s *Session) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sh == nil {
		return false
	}
	_, _, dead, _ := s.sh.news()
	return !dead
}

// Close kills every process of the session and waits until they are gone. A command that is running ends with the
// observation that it was interrupted. Calling it again does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	if s.ending {
		s.mu.Unlock()
		return nil
	}
	s.ending = true
	close(s.closed)
	b := s.sh
	s.mu.Unlock()
	var err error
	if b != nil {
		err = s.end(b)
	}
	s.turn.Lock() // whoever is in Run leaves, for closed is closed
	defer s.turn.Unlock()
	return err
}

// end kills b with all its processes, and waits.
func (s *Session) end(b *bash) error {
	err := KillSession(b.pid, b.start)
	b.kill()
	b.close()
	return err
}

func (s *Session) confine(b *bash) error { return nil }

func userName(c *syscall.Credential) string { return "root" }
func hostName() string                      { h, _ := os.Hostname(); h, _, _ = strings.Cut(h, "."); return h }

var _ = context.Canceled
