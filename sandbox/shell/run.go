package shell

import (
	"context"
	"errors"
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
	glanced bool // for a moment, it has been waited for
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
// Codes: Exhausted (no shell can be started in place of one that died; or too much input that the program does not
// read), Conflict (closed).
func (s *Session) Run(ctx context.Context, a sandbox.RunArgs, timeout time.Duration, out sandbox.Output) (sandbox.Observation, error) {
	s.turn.Lock()
	c, o, err := s.begin(a, timeout, out)
	defer s.finish(c)
	if c == nil {
		return o, err
	}
	return s.await(ctx, c)
}

// A Rest is what is left of a Run that has begun: it must be called once, by any goroutine, and gives what Run would.
type Rest func(context.Context) (sandbox.Observation, error)

// ErrNotNow says that a command cannot begin without waiting for something.
var ErrNotNow = errors.New("the session is busy, or has no shell")

// RunSoon is Run for a caller who cannot wait for long. If the command has not ended in a moment, there is a Rest, which
// gives the observation. If it could not even begin, nothing was done and the error is ErrNotNow.
func (s *Session) RunSoon(a sandbox.RunArgs, timeout time.Duration, out sandbox.Output) (o sandbox.Observation, rest Rest, err error) {
	if !s.turn.TryLock() {
		return o, nil, ErrNotNow
	}
	if !s.Alive() { // a new shell takes a while to start
		s.turn.Unlock()
		return o, nil, ErrNotNow
	}
	c, o, err := s.begin(a, timeout, out)
	if c == nil {
		s.finish(nil)
		return o, nil, err
	}
	rest = func(ctx context.Context) (sandbox.Observation, error) {
		defer s.finish(c)
		return s.await(ctx, c)
	}
	if !s.endsSoon(c) {
		return o, rest, nil
	}
	o, err = rest(context.Background())
	return o, nil, err
}

// endsSoon waits for a moment, and says whether the command has ended in a way that leaves nothing to wait for.
func (s *Session) endsSoon(c *call) bool {
	b := s.shell()
	if b == nil {
		return false
	}
	if next, _ := s.limits(c); next > 0 {
		c.glanced = true
		s.listenFirst(b, next)
	}
	r, done, dead, _ := b.news()
	return done && !dead && s.held == "" && r.prompt == ""
}

// begin does what a asks for, up to the waiting. Without a call there is nothing to wait for, and the observation is there.
// The caller has the turn, and gives the call to finish in any case.
func (s *Session) begin(a sandbox.RunArgs, timeout time.Duration, out sandbox.Output) (*call, sandbox.Observation, error) {
	if s.ended() {
		return nil, sandbox.Observation{}, errClosed
	}
	s.used.Store(time.Now().UnixNano())
	c := &call{RunArgs: a, command: strip(a.Command), timeout: timeout}
	if !s.open && (c.command == "" || c.IsInput) {
		text := nothingToFeed
		if c.command == "" {
			text = nothingToPoll
		}
		return nil, sandbox.Observation{Content: text, Result: sandbox.RunResult{Metadata: unknown("", "")}}, nil
	}
	var unended bool
	if !s.config.Pipes {
		var parts []string
		if parts, unended = inspect(c.command); parts != nil {
			return nil, rejection(parts, c), nil
		}
	}
	if _, ok := controlKey(c.command); ok {
		c.key = c.command[2]
	}
	busy := s.busy()
	if busy && !c.IsInput && c.command != "" {
		return nil, s.refuse(c), nil
	}
	if !s.open && c.key != 0 && c.key != 'd' {
		o, err := s.idleKey(c)
		return nil, o, err
	}
	s.view.attend(out)
	c.start = time.Now()
	if err := s.act(c, busy, unended); err != nil {
		s.view.leave(s.shell(), s.doze())
		return nil, sandbox.Observation{}, err
	}
	return c, sandbox.Observation{}, nil
}

// finish ends what begin has begun, and the turn.
func (s *Session) finish(c *call) {
	if c != nil {
		s.view.leave(s.shell(), s.doze())
	}
	s.turn.Unlock()
}

// busy says whether a command is running, or one is held.
func (s *Session) busy() bool {
	if s.held != "" {
		return true
	}
	b := s.shell()
	if !s.open || b == nil {
		return false
	}
	b.poll()
	_, done, dead, _ := b.news()
	return !done && !dead
}

// shell is the bash that there is, dead or alive; nil if there is none.
func (s *Session) shell() *bash {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sh
}

// act does what c asks for, up to the waiting. unended says that it is a command whose here-document has no end.
func (s *Session) act(c *call, busy, unended bool) error {
	switch {
	case c.command == "":
		return nil
	case s.held != "":
		return s.feedHeld(c)
	case busy:
		return s.typeIn(c)
	case c.key != 0 && s.open: // what it was meant for has ended meanwhile
		return nil
	case c.key == 'd': // ^D at the prompt
		return s.execute("exit", false)
	case unended && !c.Blocking:
		// Typed into a terminal, it would wait for the rest, and so it does. A blocking one would do so for ever; bash
		// takes the end of the text for the end of the document, with a warning.
		s.held = c.command
		return nil
	}
	return s.execute(c.command, unended)
}

// execute gives command to the shell. bare says that it does not end, see send.
func (s *Session) execute(command string, bare bool) error {
	b, err := s.current()
	if err != nil {
		return err
	}
	s.view.mu.Lock()
	s.view.screen.freshLine()
	s.view.mu.Unlock()
	b.settle(s.typed)
	s.open, s.typed = false, false
	_ = b.send(command, s.status, bare) // a failure means that bash is gone, which await sees
	return nil
}

// await waits for what c is to answer with.
func (s *Session) await(ctx context.Context, c *call) (sandbox.Observation, error) {
	b := s.shell()
	if b == nil {
		return sandbox.Observation{}, errClosed
	}
	r, why := s.wait(ctx, b, c)
	switch why {
	case completed:
		if r.prompt != "" {
			r.prompt = s.tidy(ctx, b)
		}
		return s.complete(b, c, r), nil
	case died:
		o := s.complete(b, c, r)
		s.status = 0
		_, _ = s.replace(b) // if it fails, the next call tries again, and tells
		return o, nil
	case canceled:
		s.open = true
		return sandbox.Failed("", interrupted), nil
	}
	return s.pause(b, c, why), nil
}

// wait waits until the command has ended, a limit of c is reached, or ctx or the session ends, and reads the terminal
// meanwhile.
func (s *Session) wait(ctx context.Context, b *bash, c *call) (report, outcome) {
	watched := false // ctx is
	for {
		r, done, dead, code := b.news()
		next, why := s.limits(c)
		switch {
		case done && s.held == "":
			return r, completed
		case s.ended() || ctx.Err() != nil:
			return r, canceled
		case dead && s.held == "":
			r.code = code
			return r, died
		case next <= 0:
			return r, why
		}
		if !c.glanced { // for a moment, only the end counts: most commands that print little are done by then
			c.glanced = true
			s.listenFirst(b, next)
			continue
		}
		if ctx.Done() != nil && !watched {
			watched = true
			defer context.AfterFunc(ctx, b.nudge)()
		}
		if b.listen(next, true) {
			s.view.read(b)
		}
	}
}

const (
	// patience is how long output may wait for a report that comes right after it, to be read with it. With others about,
	// everything takes longer, and a command that was given up on too early costs twice the wake-ups: so it is that much for
	// each of them, up to a limit that nobody who looks at the output notices.
	patience    = 500 * time.Microsecond
	maxPatience = 20 * time.Millisecond
)

// listenFirst waits until the command may have ended, or for as long as its output may wait.
func (s *Session) listenFirst(b *bash, atMost time.Duration) {
	limit := patience
	if s.config.Crowd != nil {
		others := s.config.Crowd()
		if others == 0 {
			b.glance(min(patience, atMost))
			return
		}
		limit = min(patience*time.Duration(1+others), maxPatience)
	}
	b.listen(min(limit, atMost), false)
}

func (s *Session) ended() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// tidy has the shell take back the prompts that a command has set, and gives what it has printed for them.
func (s *Session) tidy(ctx context.Context, b *bash) (prompt string) {
	if err := b.tidy(); err != nil {
		return ""
	}
	// A command that bash runs for the prompt may take its time, but not for ever.
	r, why := s.wait(ctx, b, untilAt(time.Second))
	if why != completed {
		return ""
	}
	return r.prompt
}

// untilAt is a call for wait that has only a hard limit.
func untilAt(limit time.Duration) *call {
	return &call{RunArgs: sandbox.RunArgs{Blocking: true}, start: time.Now(), timeout: limit}
}

// limits is how long c may go on before a limit is reached, and which one that will be. Where both are due, the soft
// one counts.
func (s *Session) limits(c *call) (next time.Duration, why outcome) {
	now := time.Now()
	next = time.Hour // then it looks again
	if !c.Blocking {
		since := c.start
		if changed := s.view.lastChange(); changed.After(since) {
			since = changed
		}
		next, why = since.Add(s.config.NoChange).Sub(now), quiet
	}
	if c.timeout != 0 && next > 0 {
		if left := c.start.Add(c.timeout).Sub(now); left < next {
			next, why = left, timedOut
		}
	}
	return next, why
}

// strip takes the white space off both ends of a command, by Python's idea of it.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
