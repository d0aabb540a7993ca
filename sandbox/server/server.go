// Package server is the HTTP server inside a sandbox: it performs actions, streams what they print, moves files, and
// outlives connections.
//
// It speaks two forms on one listener. The OpenHands form (/execute_action, /list_files, …) is what the Python clients of
// OpenHands know, texts included. The native form (/v1/…, see package wire) adds streaming, errors with codes, and exactly
// once: an action that comes with an id is received once, performed once and answered as often as it is asked for. All
// actions, of both forms, are performed one at a time in the order they came in each lane: a shell, a kernel, the browser, the
// files. A client that goes away changes nothing.
//
// What a server starts ends with it. If it is killed, the next one with the same state directory ends what is left, by
// cgroup, session and mark, before it answers for the actions that were running; those are never run again. A server that
// nobody has asked anything for a while says so (Orphaned), and a controller that another one has replaced is refused by
// its epoch.
//
// Whoever can reach the server and has its key can do whatever its user can: guarding that user is the sandbox's work.
// The native file requests alone are confined to the directories that the server was given.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/ledger"
	"github.com/valyala/fasthttp"
)

// Server serves one sandbox. Make it with New; it is ready a few milliseconds later.
type Server struct {
	config  Config
	log     *slog.Logger
	key     []byte
	http    *fasthttp.Server
	conns   *conns
	contact *contact
	load    *load

	life    context.Context // ends when the server stops: what it bounds is no request but the work of the server
	end     context.CancelFunc
	lanes   *lanes
	crew    crew
	routes  routes
	tools   tools // what else there is besides shells and files
	editor  *editor
	viewer  *viewer // nil without Config.Viewer
	working sync.WaitGroup
	adopter *reap.Adopter // nil unless Config.Adopt
	record  *reap.Record  // nil without StateDir
	files   *files.Store
	ledger  *ledger.Ledger

	left     leftovers     // of an earlier server
	openErr  error         // why what stands above is not set
	born     chan struct{} // closed when there is a main shell, which has read nothing yet, and these two are set
	opened   chan struct{} // closed when what stands above is set, or New has failed
	ready    chan struct{} // closed when what follows is set
	failed   error
	sessions *sessions

	mu          sync.Mutex
	actions     map[string]*action // waiting, running and recent
	recent      []*action          // done, oldest first
	recentBytes int
	waiting     int // waiting or running
	stopping    bool
	starting    reap.Proc // the latest shell; it may have ended
	listeners   []net.Listener

	shut     sync.Once
	shutErr  error
	figures  figures
	crowd    crowd
	memory   *memoryWatch
	asking   atomic.Int64 // OpenHands actions waiting or running
	executed atomic.Int64 // when the latest OpenHands action began, nanoseconds since contact.began
	forwards atomic.Int32 // connections given over to what listens elsewhere
}

// New makes a server and begins to make it ready: it ends what an earlier one has left, then starts the shell. ctx bounds
// nothing but New itself. Codes: Invalid, Conflict (another server has StateDir, or Epoch is older than one seen),
// Exhausted, Internal.
func New(ctx context.Context, c Config) (*Server, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Canceled, Op: "server.New", Err: err}
	}
	s := &Server{config: c, log: slog.New(trace.Handler(c.Log.Handler())), key: []byte(c.Key),
		conns: newConns(), load: newLoad(), lanes: newLanes(), crew: newCrew(),
		born: make(chan struct{}), opened: make(chan struct{}), ready: make(chan struct{}), actions: map[string]*action{}}
	s.figures.began, s.crowd.tell = s.load.began, c.Crowded
	s.editor = newEditor(s)
	s.routes = s.newRoutes()
	begun := s.early()
	if s.openErr != nil {
		_ = s.giveUp(begun)
		s.close()
		return nil, s.openErr
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.contact = newContact(c.OrphanAfter, c.Keep)
	s.http = s.newHTTP()
	s.viewer = s.startViewer()
	close(s.opened)
	s.working.Go(func() { s.start(begun) })
	return s, nil
}

// Ready is closed when the server answers, or has failed to come to that, in which case Serve returns why.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Err is why the server has failed to become ready, once Ready is closed; nil if it has not.
func (s *Server) Err() error {
	<-s.ready
	return s.failed
}

// Orphaned is closed when nobody who may has asked anything for Config.OrphanAfter. The owner of the server then stops it.
func (s *Server) Orphaned() <-chan struct{} { return s.contact.orphaned }

// Serve answers on ln until Shutdown, and then returns nil; ln is closed when it returns. It may be called before the
// server is ready, and for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		if s.life.Err() != nil {
			return nil
		}
		<-s.ready // it could not start, and is about to say why
		return s.failure()
	}
	s.listeners = append(s.listeners, ln)
	s.mu.Unlock()
	err := s.http.Serve(lasting{ln})
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	select {
	case <-s.ready:
		if err := s.failure(); err != nil {
			return err
		}
	default:
	}
	if stopping {
		return nil
	}
	return err
}

// failure is why the server could not start, if it was not stopped before that. Only once it is ready.
func (s *Server) failure() error {
	if errors.Is(s.failed, errStopping) {
		return nil
	}
	return s.failed
}

// answerGrace is how long answers under way are waited for at the end: their actions have ended, so only a slow client
// or a long file can hold them up.
const answerGrace = time.Second

// Shutdown stops the server: the running action ends with an observation that says so, every process that the server has
// started is killed, answers under way are finished, and connections closed. ctx bounds the waiting. It may be called
// several times; all return when the first has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shut.Do(func() { s.shutErr = s.shutdown(ctx) })
	return s.shutErr
}

func (s *Server) shutdown(ctx context.Context) error {
	s.contact.stop()
	s.stopAccepting()
	s.end()
	err := s.awaitWork(ctx)
	err = errors.Join(err, s.viewer.Close(), s.editor.Close(), s.tools.close())
	if s.isReady() {
		err = errors.Join(err, s.sessions.close())
	}
	err = errors.Join(err, s.killAll(ctx))
	err = errors.Join(err, s.conns.drain(ctx, answerGrace))
	return errors.Join(err, s.close())
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.starting.PID > 0 && !s.isReady() { // a shell takes as long to start as its user's files please
		reap.Signal(s.starting, syscall.SIGKILL)
	}
	for _, ln := range s.listeners {
		ln.Close()
	}
}

// awaitWork returns when no action is being performed and the start is over.
func (s *Server) awaitWork(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.working.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// killAll ends what has slipped out of its session.
func (s *Server) killAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reap.Patience)
	defer cancel()
	_, err := reap.KillCgroup(ctx, s.config.Cgroup)
	if s.adopter != nil {
		s.adopter.Close()
		_, e := reap.KillTree(ctx)
		err = errors.Join(err, e)
	}
	if err == nil && s.record != nil { // nothing is left that the next server would have to look for
		err = s.record.Remove()
	}
	return err
}

// close lets go of what open has opened.
func (s *Server) close() error {
	var errs []error
	if s.record != nil {
		errs = append(errs, s.record.Close())
	}
	if s.adopter != nil {
		s.adopter.Close()
	}
	if s.ledger != nil {
		errs = append(errs, s.ledger.Close())
	}
	return errors.Join(errs...)
}
