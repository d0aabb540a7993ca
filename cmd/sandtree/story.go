package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/internal/plain"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
)

// story tells a trajectory to a person: each action in a line, below it what it prints while it prints it, and how it
// ended.
type story struct {
	w io.Writer
	p paint

	mu      sync.Mutex
	out     *lines
	printed int  // bytes of the present action's output
	midline bool // the last byte of it was no newline
	failing bool // a restart is going on
}

func newStory(a *app) *story {
	return &story{w: a.call.Stdout, p: a.paint(a.call.Stdout), out: newLines(a.call.Stdout)}
}

func (s *story) status(c supervisor.StatusChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := trouble(c)
	switch {
	case words != "":
		s.failing = true
		s.notice(s.p.yellow("↻ " + words))
	case s.failing && c.State.Status == sandbox.StatusReady:
		s.failing = false
		s.notice(s.p.yellow("↻ ready again, in the same workspace"))
	}
}

// notice writes a line of its own.
func (s *story) notice(line string) {
	s.breakLine()
	fmt.Fprintln(s.w, line)
}

func (s *story) breakLine() {
	_ = s.out.flush() // the next output meets the same error
	if s.midline {
		fmt.Fprintln(s.w)
		s.midline = false
	}
}

func (s *story) action(e wire.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printed = 0
	fmt.Fprintln(s.w)
	if t := thought(e); t != "" {
		fmt.Fprintln(s.w, s.p.dim("# "+strings.ReplaceAll(plain.Text(strings.TrimSpace(t)), "\n", "\n# ")))
	}
	kind, about := summary(e)
	fmt.Fprintln(s.w, s.p.cyan("▸ "+fmt.Sprintf("%-7s", kind))+" "+s.p.bold(about))
}

func (s *story) output(_ int64, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printed += len(p)
	if len(p) > 0 {
		s.midline = p[len(p)-1] != '\n'
	}
	_, err := s.out.Write(p)
	return err
}

func (s *story) observation(e wire.Event, o sandbox.Observation, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breakLine()
	words, ok := outcome(o)
	if text := plain.Text(strings.TrimRight(s.seen(o), "\n")); text != "" {
		if _, err := fmt.Fprintln(s.w, text); err != nil {
			return err
		}
	}
	mark := s.p.green("✔ " + words)
	switch {
	case o.Interrupted():
		mark = s.p.yellow("⚠ " + words)
	case !ok:
		mark = s.p.red("✘ " + words)
	}
	_, err := fmt.Fprintln(s.w, mark+s.p.dim("  "+took(d)))
	return err
}

// seen is what remains to be shown of an observation, since output has been shown while it was made.
func (s *story) seen(o sandbox.Observation) string {
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		switch {
		case r.Metadata.ExitCode < 0:
			return strings.TrimSpace(r.Metadata.Suffix) // why it is still running
		case s.printed > 0:
			return ""
		}
	case sandbox.EditResult:
		if r.Diff != nil && *r.Diff != "" {
			return *r.Diff
		}
	}
	return o.Content
}

func (s *story) failed(_ wire.Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notice(s.p.red("✘ not performed: ") + err.Error())
}

func (s *story) aside(e wire.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, about := summary(e)
	fmt.Fprintf(s.w, "\n%s\n", s.p.dim("· "+fmt.Sprintf("%-7s", kind)+" "+about))
}

func (s *story) end(sum summing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breakLine()
	counts := []string{plural(sum.Actions, "action")}
	if sum.Failed > 0 {
		counts = append(counts, fmt.Sprintf("%d failed", sum.Failed-sum.Interrupted))
	}
	if sum.Interrupted > 0 {
		counts = append(counts, fmt.Sprintf("%d interrupted", sum.Interrupted))
	}
	if sum.Restarts > 0 {
		counts = append(counts, plural(sum.Restarts, "restart"))
	}
	fate := "it has ended and left nothing running"
	if sum.Kept {
		fate = fmt.Sprintf("it is kept: `sandtree rm %s` ends it", sum.Runtime)
	}
	_, err := fmt.Fprintf(s.w, "\n%s\nruntime %s: %s\n`sandtree events %s` tells it again\n", s.p.bold(strings.Join(counts, ", ")), sum.Runtime, fate, sum.Runtime)
	return err
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
