package shell

import (
	"context"
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// launch starts a bash in dir and waits until it is ready.
func (s *Session) launch(dir string) (*bash, error) {
	for _, full := range []bool{true, false} {
		b, err := s.startShell(dir)
		if err != nil {
			return nil, err
		}
		s.cage.Add(b.pid)
		if s.host == "" { // not before: bash loads meanwhile
			s.user, s.host = userName(s.config.User), hostName()
		}
		rc := ""
		if full {
			rc = b.dialect.startup
		}
		if err = s.prepare(b, rc); err == nil {
			return b, nil
		}
		b.kill()
		b.close()
		if !full || !errors.Is(err, errNotReady) {
			return nil, err
		}
	}
	panic("unreachable")
}

func (s *Session) startShell(dir string) (*bash, error) {
	c := s.settings()
	if c.Pipes {
		return startPiped(c, dir, s.cage.Group)
	}
	if b := s.ready; b != nil {
		s.ready = nil
		return b, nil
	}
	return startBash(c, dir, s.cage.Group)
}

var errNotReady = errors.New("the shell did not become ready")

// prepare has b read rc and then what every shell needs, and waits until that is done.
func (s *Session) prepare(b *bash, rc string) error {
	if s.config.OnStart != nil {
		s.config.OnStart(b.pid)
	}
	s.view.mu.Lock()
	s.view.mute, s.view.attended = true, true
	s.view.screen.answers(b.reply)
	s.view.mu.Unlock()
	b.pause = time.AfterFunc(doze, func() { s.view.resume(b) })
	b.wg.Go(func() { s.view.pump(b) })
	processes := s.config.Processes
	if s.config.Cgroup != "" {
		processes = 0
	}
	if err := b.begin(processes, rc); err != nil {
		return startError(err)
	}
	s.coming(b)
	defer s.coming(nil)
	b.mustStay(true)
	defer b.mustStay(false)
	switch _, why := s.wait(context.Background(), b, untilAt(startupLimit)); why {
	case completed:
	case canceled:
		return errClosed
	default:
		return &sandbox.Error{Code: sandbox.Exhausted, Op: "shell.Start", Err: errNotReady}
	}
	s.view.mu.Lock()
	s.view.drainLocked(b)
	s.view.mute = false
	s.view.mu.Unlock()
	return nil
}

// coming notes that b is about to become ready, so that Close need not wait for that.
func (s *Session) coming(b *bash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = b
}

var errClosed = &sandbox.Error{Code: sandbox.Conflict, Op: "shell", Err: errors.New("the session is closed: an action that names it makes a new one")}

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
	s.typed = false
	if old != nil {
		s.view.mu.Lock()
		s.view.drainLocked(old)
		s.view.mu.Unlock()
		s.take()
		old.close()
	}
	dir := s.Cwd()
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
		b.kill()
		b.close()
		return nil, errClosed
	}
	return b, nil
}

// userName is the name of the user whom the shell runs as.
func userName(c *syscall.Credential) string {
	uid := os.Getuid()
	if c != nil {
		uid = int(c.Uid)
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "I have no name!" // so says bash
}

// hostName is the host's name up to the first dot.
func hostName() string {
	h, _ := os.Hostname()
	h, _, _ = strings.Cut(h, ".")
	return h
}
