package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
)

// leftovers says where to look for what an earlier server has left.
type leftovers struct {
	leaders  []reap.Proc // of its sessions
	possible bool        // there was such a server, and it did not stop in good order
	cgroup   string      // may hold some of it; "" does not
}

// open opens everything that can fail for what the caller said, before anything but a shell that has read nothing is started.
func (s *Server) open() { s.left, s.openErr = s.openAll() }

func (s *Server) openAll() (left leftovers, err error) {
	c := s.config
	if err := os.MkdirAll(c.Dir, 0o775); err != nil {
		return left, openError("working directory", err)
	}
	if s.files, err = files.New(filesConfig(c)); err != nil {
		return left, err
	}
	o, taken := c.State.take(c)
	if !taken {
		o, left, err = c.openState()
	}
	if s.ledger, s.record, s.memory = o.ledger, o.record, o.memory; err != nil {
		return left, err
	}
	if err = s.fence(c.Epoch); err == nil {
		err = s.makeTools()
	}
	if err != nil {
		if s.record != nil && !left.possible {
			_ = s.record.Remove() // nothing was started
		}
		return left, err
	}
	if c.Adopt {
		if s.adopter, err = reap.Adopt(s.log); err != nil {
			return left, openError("adopting orphans", err)
		}
	}
	return left, nil
}

func filesConfig(c Config) files.Config {
	fc := files.Config{Dir: c.Dir, Roots: c.FilesRoots, UID: -1, GID: -1}
	if c.User != nil {
		fc.UID, fc.GID = int(c.User.Uid), int(c.User.Gid)
	}
	return fc
}

// start makes the server ready.
func (s *Server) start(begun <-chan shells) {
	if begun == nil {
		s.left.cgroup = s.config.Cgroup
	}
	s.settle(s.left)
	kernel := s.startKernel()
	s.editor.start()
	var b shells
	switch {
	case begun != nil:
		b = <-begun
	case s.life.Err() != nil:
		b.err = errStopping
	default:
		b.sessions, b.err = s.openShells()
	}
	if b.err == nil {
		s.sessions = b.sessions
		if b.err = s.awaitPlugins(kernel, s.editor.decided); b.err != nil {
			b.err = errors.Join(b.err, s.sessions.close())
		}
	}
	if b.err != nil {
		s.failed = s.whyFailed(b.err)
		close(s.ready)    // first, so that Serve finds why
		s.stopAccepting() // which ends it
		return
	}
	s.contact.note()
	close(s.ready)
}

// whyFailed is err, unless a Shutdown came first, which ends a shell that is starting: then that is what it is.
func (s *Server) whyFailed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	return err
}

// awaitPlugins returns when every plugin that was asked for is ready, or is known not to come. Code: Unavailable.
func (s *Server) awaitPlugins(all ...<-chan struct{}) error {
	timer := time.NewTimer(s.config.PluginTimeout)
	defer timer.Stop()
	for _, decided := range all {
		select {
		case <-decided:
		case <-s.life.Done(): // and so are they
		case <-timer.C:
			return refused(sandbox.Unavailable, "plugins", fmt.Sprintf("%s are not ready after %v: raise INIT_PLUGIN_TIMEOUT, or ask for fewer",
				strings.Join(s.config.Plugins, ", "), s.config.PluginTimeout))
		}
	}
	return nil
}

// started is told of every shell before it runs anything.
func (s *Server) started(pid int) {
	p, err := reap.Stat(pid)
	select {
	case <-s.opened:
	case <-s.born:
	default: // it is the one that early has begun to start
		s.open()
		close(s.born)
	}
	if s.openErr != nil {
		<-s.opened // when it is known that this one is not wanted
	}
	s.mu.Lock()
	if s.starting = p; s.stopping && !s.isReady() {
		reap.Signal(p, syscall.SIGKILL)
	}
	s.mu.Unlock()
	s.note(pid, p, err)
}

// settle ends what an earlier server has left running and then answers for the actions that it was performing.
func (s *Server) settle(left leftovers) {
	ctx, cancel := context.WithTimeout(s.life, reap.Patience)
	defer cancel()
	killed, err := reap.KillCgroup(ctx, left.cgroup)
	if left.possible {
		n, e := reap.Kill(ctx, reap.Any(reap.Marked(EnvMark, s.config.Mark), reap.InSessions(left.leaders)))
		killed, err = killed+n, errors.Join(err, e)
		if err == nil {
			err = errors.Join(s.record.Forget(), s.tools.removeLeft())
		}
	}
	pending := s.ledger.Interrupted()
	if killed > 0 || len(pending) > 0 || err != nil {
		s.log.Warn("an earlier server was killed", "processes", killed, "actions", len(pending), "err", err)
	}
	for _, id := range pending {
		if err := s.ledger.Settle(id, interrupted(err == nil)); err != nil {
			s.log.Error("recording an interruption", "action", id, "err", err)
		}
	}
}
