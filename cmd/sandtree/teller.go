package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
)

// A teller shows what happens while it happens. Its methods may be called from several goroutines; an error means that
// nobody reads any more.
type teller interface {
	status(supervisor.StatusChange)                                            // of the runtime
	action(e wire.Event)                                                       // is about to be performed
	output(offset int64, p []byte) error                                       // of that action
	observation(e wire.Event, o sandbox.Observation, took time.Duration) error // ends it
	failed(e wire.Event, err error)                                            // it could not be performed
	aside(e wire.Event)                                                        // an action that was recorded only
	end(summing) error                                                         // the last call
}

// summing is what is said at the end.
type summing struct {
	Runtime     sandbox.ID `json:"runtime"`
	Kept        bool       `json:"kept"`
	ExitCode    int        `json:"exit_code"`
	Actions     int        `json:"actions"`
	Failed      int        `json:"failed"`      // of them: exit code not 0, an error, or not performed
	Interrupted int        `json:"interrupted"` // of those
	Restarts    int        `json:"restarts"`
}

// terse shows one command as if it ran here: its output, and nothing else unless something is wrong.
type terse struct {
	app *app

	mu      sync.Mutex
	out     *lines
	printed bool
}

func newTerse(a *app) *terse { return &terse{app: a, out: newLines(a.call.Stdout)} }

func (t *terse) status(c supervisor.StatusChange) {
	if s := trouble(c); s != "" {
		fmt.Fprintf(t.app.call.Stderr, "sandtree: %s\n", s)
	}
}

func (t *terse) action(wire.Event) {}

func (t *terse) output(_ int64, p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printed = true
	_, err := t.out.Write(p)
	return err
}

func (t *terse) observation(_ wire.Event, o sandbox.Observation, _ time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.out.flush(); err != nil {
		return err
	}
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		if !t.printed && o.Content != "" { // what was printed before the connection broke, and is no longer held
			_, err := fmt.Fprintln(t.app.call.Stdout, o.Content)
			return err
		}
		if r.Metadata.ExitCode < 0 {
			fmt.Fprintf(t.app.call.Stderr, "sandtree: %s\n", firstLine(r.Metadata.Suffix))
		}
	default:
		fmt.Fprintf(t.app.call.Stderr, "sandtree: %s\n", o.Content)
	}
	return nil
}

func (t *terse) failed(wire.Event, error) {} // the command says so at its end
func (t *terse) aside(wire.Event)         {}

func (t *terse) end(s summing) error {
	if _, ok := terminal(t.app.call.Stderr); ok && s.Kept {
		fmt.Fprintf(t.app.call.Stderr, "sandtree: runtime %s is kept; `sandtree rm %s` ends it\n", s.Runtime, s.Runtime)
	}
	return nil
}

// trouble is a change of status that somebody who watches a command should know of; "" if it is none.
func trouble(c supervisor.StatusChange) string {
	s := c.State
	switch {
	case c.Reported:
		return ""
	case s.Recovering:
		return fmt.Sprintf("%s; restarting, %d of %d", cause(s), s.Attempt, s.Of)
	case s.Status == sandbox.StatusError, s.Status == sandbox.StatusErrorMemory, s.Status == sandbox.StatusErrorDisconnected:
		return fmt.Sprintf("%s; given up", cause(s))
	}
	return ""
}

func cause(s supervisor.State) string {
	if s.Cause != nil {
		return plainly(s.Cause)
	}
	return s.Message
}

// lines is a writer of what a terminal printed, with plain line ends: in a file they are wanted, and a terminal of ours
// makes its own of them.
type lines struct {
	w    io.Writer
	held bool // a carriage return, of which it is not yet known what follows
}

func newLines(w io.Writer) *lines { return &lines{w: w} }

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if l.held && n > 0 {
		p = append([]byte{'\r'}, p...)
		l.held = false
	}
	if bytes.HasSuffix(p, []byte{'\r'}) {
		p, l.held = p[:len(p)-1], true
	}
	_, err := l.w.Write(bytes.ReplaceAll(p, []byte("\r\n"), []byte{'\n'}))
	return n, err
}

func (l *lines) flush() error {
	if !l.held {
		return nil
	}
	l.held = false
	_, err := l.w.Write([]byte{'\r'})
	return err
}
