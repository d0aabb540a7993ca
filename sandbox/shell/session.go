package shell

import (
	"github.com/sandtree/sandtree/internal/child"

	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what shell is wanted.
type Config struct {
	Dir  string              // where it starts; "" is "/"
	Env  []string            // its whole environment, KEY=VALUE
	User *syscall.Credential // nil: the caller's

	// Pipes is for a shell that has no terminal: it is quicker, its programs see pipes, and it has no job control. Several
	// commands in one text are one command, a here-document ends with the text, and the content of an observation is what
	// was printed, but for line ends at its end. It is a bash, or where there is none a sh.
	Pipes bool

	NoChange  time.Duration // soft timeout: how long a command may show nothing new; 0 means 10 s
	Cgroup    string        // directory of the cgroup below which the session gets one of its own; "" none
	Processes int           // RLIMIT_NPROC where there is no Cgroup; 0 leaves it
	History   int           // lines kept of one command's output; 0 means 10,500
	OnStart   func(pid int) // called for every shell process before it runs anything; its pid is its session's id
	Prepared  *Prepared     // if it is what the session would start, it is not started but taken; nil is none

	// Crowd is how much is on in this process besides one command. At 0 the thread that runs the command may itself wait
	// in the kernel for a moment, as most commands are done by then: that costs one system call, and no other goroutine has
	// to be looked for and woken. The more there is, the longer output may wait for its command's end. nil means unknown.
	Crowd func() int
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
	used   atomic.Int64 // when Run was last called, nanoseconds of Unix time

	mu     sync.Mutex
	sh     *bash
	next   *bash  // about to become ready
	dir    string // last known working directory
	ending bool
	added  []string // variables for bashes to come

	turn   sync.Mutex // held by Run; guards what follows, and is locked before mu and view.mu
	open   bool       // the last answer was a timeout: there is more to come
	held   string     // a command whose here-document has no end yet; it waits for input, not for bash
	typed  bool       // something has been typed since the last command began
	status int        // exit code of the last command
	trace  trace
	text   []byte // buffer of answers
	cage   child.Cage
	ready  *bash // that was prepared; nil once it is launched
	python interpreterPath
	user   string // as the prompt would show them
	host   string
	cwd    *string // the last one reported; shared by observations
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
	s := &Session{config: c, closed: make(chan struct{}), dir: c.Dir}
	if s.python.lasting = c.Pipes; c.Pipes {
		s.view.screen, s.view.buf = &tape{}, make([]byte, readPiped)
	} else {
		s.view.screen, s.view.buf = newScreen(defaultCols, defaultRows, c.History), make([]byte, readSize)
	}
	var err error
	if s.ready, s.cage = c.Prepared.take(c); s.ready == nil {
		if s.cage, err = child.NewCage(c.Cgroup, "shell"); err != nil {
			return nil, startError(err)
		}
	}
	if s.sh, err = s.launch(c.Dir); err != nil {
		_ = s.cage.Destroy() // what is left of it is in the cgroup that was given, whose owner clears that
		return nil, err
	}
	s.view.leave(s.sh, doze)
	return s, nil
}

// Cwd is the working directory after the last command that has ended.
func (s *Session) Cwd() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sh != nil {
		s.sh.poll()
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

// Busy says whether a command runs in it, or somebody is about to run one.
func (s *Session) Busy() bool {
	if !s.turn.TryLock() {
		return true
	}
	defer s.turn.Unlock()
	return s.busy()
}

// Used is when Run was last called; zero if it never was.
func (s *Session) Used() time.Time {
	if n := s.used.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Closed says whether Close has been called.
func (s *Session) Closed() bool { return s.ended() }

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
	for _, b := range []*bash{s.sh, s.next} {
		if b != nil {
			b.abandon()
		}
	}
	s.mu.Unlock()
	s.turn.Lock() // whoever is in Run leaves, for closed is closed
	defer s.turn.Unlock()
	err := s.cage.Empty()
	if b := s.take(); b != nil {
		b.close()
	}
	return errors.Join(err, s.cage.Remove())
}

// take takes the bash away from the session; nil if there is none.
func (s *Session) take() *bash {
	dir := s.Cwd()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.sh
	s.sh, s.dir = nil, dir
	return b
}

// Interrupt sends SIGINT to what runs in the foreground, as ^C does; to a shell that waits for a command it does
// nothing.
func (s *Session) Interrupt() error {
	b := s.shell()
	if b == nil {
		return errClosed
	}
	b.persist(b.interrupt(), true)
	return nil
}
