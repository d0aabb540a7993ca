package runtimetest

import (
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// clientTimeout is the hard timeout that OpenHands' client gives to an action.
const clientTimeout = 2 * time.Minute

// A ran is what came of a command, with checks that can be chained.
type ran struct {
	s       *site
	command string
	text    string
	kind    sandbox.Kind
	meta    sandbox.RunMetadata
	result  sandbox.RunResult
	took    time.Duration
}

// cmd runs a command as an agent's does: with the client's timeout, and not blocking.
func (s *site) cmd(command string) ran {
	s.Helper()
	return s.perform(sandbox.RunArgs{Command: command}, clientTimeout)
}

// within runs a command with a hard timeout of so many seconds, blocking, as OpenHands' set_hard_timeout makes it.
func (s *site) within(seconds float64, command string) ran {
	s.Helper()
	return s.perform(sandbox.RunArgs{Command: command, Blocking: true}, time.Duration(seconds*float64(time.Second)))
}

// input types into what runs.
func (s *site) input(text string) ran {
	s.Helper()
	return s.perform(sandbox.RunArgs{Command: text, IsInput: true}, clientTimeout)
}

// inputWithin is input with a hard timeout of so many seconds.
func (s *site) inputWithin(seconds float64, text string) ran {
	s.Helper()
	return s.perform(sandbox.RunArgs{Command: text, IsInput: true, Blocking: true}, time.Duration(seconds*float64(time.Second)))
}

// interrupt presses C-c, and once more if that was missed: a bash that is between two commands of a list, or has not begun
// yet, may not notice the first.
func (s *site) interrupt() ran {
	s.Helper()
	r := s.inputWithin(3, "C-c")
	if r.meta.ExitCode == -1 {
		r = s.inputWithin(30, "C-c")
	}
	return r
}

func (s *site) perform(a sandbox.RunArgs, timeout time.Duration) ran {
	s.Helper()
	began := time.Now()
	o := s.do(sandbox.Action{Args: a, Timeout: timeout})
	r := ran{s: s, command: a.Command, text: o.Content, kind: o.Kind(), took: time.Since(began)}
	if res, ok := o.Result.(sandbox.RunResult); ok {
		r.result, r.meta = res, res.Metadata
	} else {
		r.meta.ExitCode = -2
	}
	return r
}

func (r ran) fail(format string, args ...any) {
	r.s.Helper()
	r.s.Errorf("%.150q: "+format+"\nit is a %s observation with exit code %d, prefix %q, suffix %.120q and content %.600q",
		append(append([]any{r.command}, args...), r.kind, r.meta.ExitCode, r.meta.Prefix, r.meta.Suffix, r.text)...)
}

// exits wants a run observation with this exit code.
func (r ran) exits(code int) ran {
	r.s.Helper()
	if r.kind != sandbox.KindRun || r.meta.ExitCode != code {
		r.fail("want exit code %d", code)
	}
	return r
}

// fails wants a command that ended, and not well.
func (r ran) fails() ran {
	r.s.Helper()
	if r.kind != sandbox.KindRun || r.meta.ExitCode <= 0 {
		r.fail("want it to fail")
	}
	return r
}

// has wants all of these in the content.
func (r ran) has(parts ...string) ran {
	r.s.Helper()
	for _, p := range parts {
		if !strings.Contains(r.text, p) {
			r.fail("want %q in it", p)
		}
	}
	return r
}

// hasNot wants none of these in the content.
func (r ran) hasNot(parts ...string) ran {
	r.s.Helper()
	for _, p := range parts {
		if strings.Contains(r.text, p) {
			r.fail("want no %q in it", p)
		}
	}
	return r
}

// is wants exactly this content.
func (r ran) is(text string) ran {
	r.s.Helper()
	if r.text != text {
		r.fail("want %q", text)
	}
	return r
}

// prefix wants exactly this prefix.
func (r ran) prefix(p string) ran {
	r.s.Helper()
	if r.meta.Prefix != p {
		r.fail("want the prefix %q", p)
	}
	return r
}

// suffix wants this in the suffix.
func (r ran) suffix(p string) ran {
	r.s.Helper()
	if !strings.Contains(r.meta.Suffix, p) {
		r.fail("want %q in the suffix", p)
	}
	return r
}

// error wants an error observation with this in it.
func (r ran) error(part string) ran {
	r.s.Helper()
	if r.kind != sandbox.KindError || !strings.Contains(r.text, part) {
		r.fail("want an error with %q", part)
	}
	return r
}

// file performs what is not a command.
func (s *site) file(args sandbox.Args) sandbox.Observation {
	s.Helper()
	return s.do(sandbox.Action{Args: args, Timeout: clientTimeout})
}

func (s *site) write(path, content string) sandbox.Observation {
	s.Helper()
	o := s.file(sandbox.WriteArgs{Path: path, Content: content, End: -1})
	if o.Kind() != sandbox.KindWrite {
		s.Fatalf("write %s: a %s observation: %.300q", path, o.Kind(), o.Content)
	}
	return o
}

func (s *site) read(path string) sandbox.Observation {
	s.Helper()
	return s.file(sandbox.ReadArgs{Path: path, End: -1})
}

// reads wants a file with this content.
func (s *site) reads(path, content string) {
	s.Helper()
	o := s.read(path)
	if o.Kind() != sandbox.KindRead {
		s.Errorf("read %s: a %s observation", path, o.Kind())
	}
	s.want("what is read of "+path, o.Content, content)
}

// kind wants an observation of this kind.
func (s *site) kind(o sandbox.Observation, want sandbox.Kind) sandbox.Observation {
	s.Helper()
	if o.Kind() != want {
		s.Errorf("it is a %s observation, want %s: %.300q", o.Kind(), want, o.Content)
	}
	return o
}
