package shell

import (
	"bytes"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

// complete makes the observation of a command that has ended.
func (s *Session) complete(b *bash, c *call, r report) sandbox.Observation {
	s.open, s.status = false, r.code
	v := &s.view
	v.mu.Lock()
	v.drainLocked(b)
	text, lines := v.screen.appendNew(s.text[:0])
	lost := v.screen.isLost()
	v.screen.reset()
	v.toldLocked()
	v.mu.Unlock()
	prefix := ""
	if lost {
		prefix = prefixLost(lines)
	}
	text = s.trace.strip(text)
	if _, _, dead, _ := b.news(); dead && (c.key == 'd' || strings.Contains(c.command, "exit")) {
		text = withoutFarewell(text)
	}
	if r.prompt != "" {
		text = withoutPrompt(text, r.prompt)
	}
	content := s.content(text, c.echo, c.Hidden)
	m := s.metadata(r, time.Since(c.start))
	m.Prefix, m.Suffix = prefix, suffixDone(r.code, c.key)
	return sandbox.Observation{Content: content, Result: sandbox.RunResult{Command: c.command, Hidden: c.Hidden, Metadata: m}}
}

// metadata is what the report tells of the shell after a command that took this long.
func (s *Session) metadata(r report, took time.Duration) sandbox.RunMetadata {
	if s.cwd == nil || *s.cwd != r.dir {
		s.cwd = &r.dir
	}
	return sandbox.RunMetadata{
		ExitCode: r.code, PID: r.pid, Username: &s.user, Hostname: &s.host, WorkingDir: s.cwd,
		PyPath: s.python.after(took, r.path, r.dir),
	}
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
	return sandbox.Observation{Content: s.fresh(b, c.echo, false), Result: sandbox.RunResult{
		Command: c.command, Metadata: unknown(prefix, suffix),
	}}
}

// refuse makes the observation for a command that comes while another runs.
func (s *Session) refuse(c *call) sandbox.Observation {
	content := s.fresh(s.shell(), "", c.Hidden)
	return sandbox.Observation{Content: content, Result: sandbox.RunResult{
		Command: c.command, Hidden: c.Hidden, Metadata: unknown(prefixContinued, suffixRefused(c.command)),
	}}
}

// fresh is what the command that runs has shown since the last answer.
func (s *Session) fresh(b *bash, echo string, whole bool) string {
	v := &s.view
	v.mu.Lock()
	if b != nil {
		v.drainLocked(b)
	}
	text, _ := v.screen.appendNew(s.text[:0])
	v.screen.mark()
	v.toldLocked()
	v.mu.Unlock()
	return s.content(text, echo, whole)
}

// content is text without blanks around it and without the echo of what was typed, and without its middle if it is long
// and not wanted whole.
func (s *Session) content(text []byte, echo string, whole bool) string {
	s.text = text
	if cap(text) > maxKept {
		s.text = nil
	}
	if s.config.Pipes {
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
		}
	} else {
		text = bytes.TrimLeftFunc(text, unicode.IsSpace)
		if echo != "" {
			text = bytes.TrimPrefix(text, []byte(echo))
		}
		text = bytes.TrimFunc(text, unicode.IsSpace)
	}
	if whole {
		return string(text)
	}
	return truncate(text)
}

const maxKept = 1 << 20 // bytes of the buffer of answers that stay between answers

// withoutFarewell takes the word that an interactive shell says when it exits off the end of text.
func withoutFarewell(text []byte) []byte {
	trimmed := bytes.TrimRightFunc(text, unicode.IsSpace)
	rest, ok := bytes.CutSuffix(trimmed, []byte("exit"))
	if !ok || len(rest) > 0 && rest[len(rest)-1] != '\n' {
		return text
	}
	return bytes.TrimRight(rest, "\r\n")
}

// withoutPrompt takes a prompt off the end of text. Bash has printed it before it read the next lines, because the
// command set PS1.
func withoutPrompt(text []byte, prompt string) []byte {
	screen := newScreen(defaultCols, defaultRows, 0)
	screen.feed(bytes.ReplaceAll([]byte(prompt), []byte("\n"), []byte("\r\n")))
	shown, _ := screen.appendNew(nil)
	shown = bytes.TrimSpace(shown)
	for range 3 { // one for each line since the command's
		text = bytes.TrimSuffix(bytes.TrimRightFunc(text, unicode.IsSpace), shown)
	}
	return text
}

// idleKey answers for a special key at the prompt. ^C shows, the others do nothing.
func (s *Session) idleKey(c *call) (sandbox.Observation, error) {
	b, err := s.current()
	if err != nil {
		return sandbox.Observation{}, err
	}
	r, _, _, _ := b.news()
	r.code = s.status
	if c.key == 'c' {
		r.code = 130
	}
	o := s.complete(b, c, r)
	if c.key == 'c' {
		o.Content = "^C"
	}
	return o, nil
}
