package shell

import (
	"bytes"
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/sandtree/sandtree/sandbox"
)

// A call is one Run.
type call struct {
	sandbox.RunArgs
	command string // stripped
	key     byte   // the character of a special key; 0 if it is none
	echo    string // what was typed, which the terminal shows again
	timeout time.Duration
	start   time.Time
}

// An outcome is why a wait ended.
type outcome int

const (
	completed outcome = iota
	died
	quiet
	timedOut
	canceled
)

// Run performs a: it runs a command, types input into the one that runs, or asks what came since. A command is
// delivered to the shell as it is, whatever its size; what its programs read from the terminal is typed input only.
// timeout is the hard limit, 0 for none; neither it nor the soft one (see Config) ends the command, which is then
// polled by an empty Command. out, if not nil, gets the terminal's raw bytes while they come, beginning with those that
// came since the last call; a receiver that blocks holds the command back.
//
// A failure of the command is an observation, and so is a refusal. If ctx ends, or the session is closed, the
// observation says that it was interrupted; the command goes on (unless closed) and can be polled.
// Codes: Exhausted (no shell can be started in place of one that died), Conflict (closed).
func (s *Session) Run(ctx context.Context, a sandbox.RunArgs, timeout time.Duration, out sandbox.Output) (sandbox.Observation, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	c := &call{RunArgs: a, command: strip(a.Command), timeout: timeout}
	if !s.open && (c.command == "" || c.IsInput) {
		text := nothingToFeed
		if c.command == "" {
			text = nothingToPoll
		}
		return sandbox.Observation{Content: text, Result: sandbox.RunResult{Metadata: unknown("", "")}}, nil
	}
	if parts := split(c.command); len(parts) > 1 {
		return rejection(parts, c), nil
	}
	if _, ok := controlKey(c.command); ok {
		c.key = c.command[2]
	}
	busy := s.busy()
	if busy && !c.IsInput && c.command != "" {
		return s.refuse(c), nil
	}
	s.view.listen(out)
	if out != nil {
		defer s.view.unlisten()
	}
	c.start = time.Now()
	if err := s.act(c, busy); err != nil {
		return sandbox.Observation{}, err
	}
	return s.await(ctx, c)
}

// busy says whether a command is running.
func (s *Session) busy() bool {
	if s.held != "" {
		return true
	}
	s.mu.Lock()
	b := s.sh
	s.mu.Unlock()
	if !s.open || b == nil {
		return false
	}
	_, done, dead, _ := b.news()
	return !done && !dead
}

// act does what c asks for, up to the waiting.
func (s *Session) act(c *call, busy bool) error {
	switch {
	case c.command == "":
		return nil
	case busy:
		return s.typeIn(c)
	case c.key != 0 && s.open: // what it was meant for has ended meanwhile
		return nil
	}
	return s.execute(c.command)
}

// execute gives command to the shell.
func (s *Session) execute(command string) error {
	b, err := s.current()
	if err != nil {
		return err
	}
	s.view.mu.Lock()
	s.view.screen.freshLine()
	s.view.mu.Unlock()
	s.open = false
	_ = b.send(command) // a failure means that bash is gone, which await sees
	return nil
}

// typeIn types c into the program that runs.
func (s *Session) typeIn(c *call) error {
	b, err := s.current()
	if err != nil {
		return err
	}
	keys, ok := "", false
	if c.key != 0 {
		k, _ := controlKey(c.command)
		keys = string([]byte{k})
	} else if keys, ok = namedKey(c.command, false); !ok {
		keys = strings.ReplaceAll(c.command, "\n", "\r") + "\r"
		c.echo = c.command
	}
	_, _ = b.tty.Write([]byte(keys))
	if c.key == 'c' {
		b.again()
	}
	return nil
}

// await waits for what c is to answer with.
func (s *Session) await(ctx context.Context, c *call) (sandbox.Observation, error) {
	s.mu.Lock()
	b := s.sh
	s.mu.Unlock()
	if b == nil {
		return sandbox.Observation{}, errClosed
	}
	r, why := s.wait(ctx, b, c)
	switch why {
	case completed, died:
		o := s.complete(b, c, r)
		if why == died {
			_, _ = s.replace(b) // if it fails, the next call tries again, and tells
		}
		return o, nil
	case canceled:
		s.open = true
		return sandbox.Failed("", interrupted), nil
	}
	return s.pause(b, c, why), nil
}

// wait waits until the command has ended, a limit is reached, or ctx or the session ends.
func (s *Session) wait(ctx context.Context, b *bash, c *call) (report, outcome) {
	defer s.timer.Stop()
	for {
		r, done, dead, code := b.news()
		if done {
			return r, completed
		}
		if dead {
			r.code = code
			return r, died
		}
		now := time.Now()
		next := time.Hour
		if !c.Blocking {
			limit := s.view.lastChange()
			if limit.Before(c.start) {
				limit = c.start
			}
			if next = limit.Add(s.config.NoChange).Sub(now); next <= 0 {
				return r, quiet
			}
		}
		if c.timeout != 0 {
			left := c.start.Add(c.timeout).Sub(now)
			if left <= 0 {
				return r, timedOut
			}
			next = min(next, left)
		}
		s.timer.Reset(next)
		select {
		case <-b.wake:
		case <-s.timer.C:
		case <-ctx.Done():
			return r, canceled
		case <-s.closed:
			return r, canceled
		}
	}
}

// complete makes the observation of a command that has ended.
func (s *Session) complete(b *bash, c *call, r report) sandbox.Observation {
	s.open = false
	s.view.mu.Lock()
	s.view.drainLocked(b)
	lost := s.view.screen.lost
	text, lines := s.view.screen.appendNew(s.text[:0])
	s.view.screen.reset()
	s.view.mu.Unlock()
	prefix := ""
	if lost {
		prefix = prefixLost(lines)
	}
	content := s.content(text, c.echo)
	if !c.Hidden {
		content = truncate(content)
	}
	return sandbox.Observation{Content: content, Result: sandbox.RunResult{
		Command: c.command, Hidden: c.Hidden,
		Metadata: sandbox.RunMetadata{
			ExitCode: r.code, PID: r.pid, Username: &s.user, Hostname: &s.host, WorkingDir: &r.dir, PyPath: nil,
			Prefix: prefix, Suffix: suffixDone(r.code, c.key),
		},
	}}
}

// pause makes the observation of a command that goes on.
func (s *Session) pause(b *bash, c *call, why outcome) sandbox.Observation {
	suffix := suffixQuiet(s.config.NoChange)
	if why == timedOut {
		suffix = suffixTimeout(c.timeout)
	}
	prefix := ""
	if s.open {
		prefix = prefixContinued
	}
	s.open = true
	return sandbox.Observation{Content: truncate(s.news(b, c.echo)), Result: sandbox.RunResult{
		Command: c.command, Metadata: unknown(prefix, suffix),
	}}
}

// refuse makes the observation for a command that comes while another runs.
func (s *Session) refuse(c *call) sandbox.Observation {
	s.mu.Lock()
	b := s.sh
	s.mu.Unlock()
	content := s.news(b, "")
	if !c.Hidden {
		content = truncate(content)
	}
	return sandbox.Observation{Content: content, Result: sandbox.RunResult{
		Command: c.command, Hidden: c.Hidden, Metadata: unknown(prefixContinued, suffixRefused(c.command)),
	}}
}

// news is what the command that runs has shown since the last answer.
func (s *Session) news(b *bash, echo string) string {
	s.view.mu.Lock()
	if b != nil {
		s.view.drainLocked(b)
	}
	text, _ := s.view.screen.appendNew(s.text[:0])
	s.view.screen.mark()
	s.view.mu.Unlock()
	return s.content(text, echo)
}

// content is text without blanks around it and without the echo of what was typed.
func (s *Session) content(text []byte, echo string) string {
	s.text = text
	text = bytes.TrimLeftFunc(text, unicode.IsSpace)
	if echo != "" {
		text = bytes.TrimPrefix(text, []byte(echo))
	}
	return string(bytes.TrimFunc(text, unicode.IsSpace))
}

// strip takes the white space off both ends of a command, by Python's idea of it.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
