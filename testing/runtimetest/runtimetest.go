// Package runtimetest is the contract of sandbox.Runtime as a suite of tests, for everything that performs actions: the
// shell and the files themselves, the client and the server over a pipe, every backend, the supervised runtime.
//
// Its cases need bash and the usual small programs in the sandbox, a shell that starts in the workspace, and the soft
// timeout that OpenHands has by default or a longer one; Soft tests that timeout itself, where it can be set. A group of
// cases shares one runtime and leaves it usable; a group takes seconds at most. A bug found in one runtime becomes a
// case for all.
package runtimetest

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Run tests the runtimes that open gives. open fails the test where it cannot open one, and sees to it that what it opened
// is closed when the test t ends. Each runtime has an empty workspace of its own.
func Run(t *testing.T, open func(t *testing.T) sandbox.Runtime) {
	group(t, open, "commands", commands)
	group(t, open, "busy", busy)
	group(t, open, "deaths", deaths)
	group(t, open, "output", output)
	group(t, open, "files", files)
	group(t, open, "transfer", transfer)
	group(t, open, "trees", trees)
	group(t, open, "once", once)
	group(t, open, "refusals", refusals)
}

// A test is one case; the cases of a group run in order on one runtime.
type test struct {
	name string
	run  func(*rig)
}

func group(t *testing.T, open func(t *testing.T) sandbox.Runtime, name string, cases []test) {
	t.Run(name, func(t *testing.T) {
		rt := open(t)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { c.run(&rig{t, rt}) })
		}
	})
}

// patience bounds every single call. It is far above what any of them takes, also on a busy machine.
const patience = 3 * time.Minute

// brief is a time limit that the commands under test outlast for sure, and that is still long enough for a busy machine
// to start them and show their first output.
const brief = 700 * time.Millisecond

// A rig is a runtime in a test.
type rig struct {
	*testing.T
	rt sandbox.Runtime
}

func (r *rig) context() context.Context {
	ctx, cancel := context.WithTimeout(r.T.Context(), patience)
	r.Cleanup(cancel)
	return ctx
}

// held is how much output, in bytes, every runtime keeps for a reader that is slow: of an action that prints no more,
// nothing may be missing.
const held = 256 << 10

// do performs a and checks what holds for every action: it gets an answer, its output comes in order, if it is not more
// than held without gaps, and none comes later.
func (r *rig) do(a sandbox.Action) sandbox.Observation {
	r.Helper()
	o, _ := r.watch(a)
	return o
}

// watch is do, and gives the output too.
func (r *rig) watch(a sandbox.Action) (sandbox.Observation, string) {
	r.Helper()
	o, out, err := r.try(r.context(), a, nil)
	if err != nil {
		r.Fatalf("%s: %v", describe(a), err)
	}
	return o, out
}

// try performs a; each is told of all output so far, whenever there is more.
func (r *rig) try(ctx context.Context, a sandbox.Action, each func(out string)) (sandbox.Observation, string, error) {
	r.Helper()
	var out strings.Builder
	var next, missing int64
	var inside, over atomic.Int32
	o, err := r.rt.Do(ctx, a, func(offset int64, p []byte) {
		if inside.Add(1) != 1 {
			r.Errorf("%s: output comes from two places at once", describe(a))
		}
		defer inside.Add(-1)
		if over.Load() != 0 {
			r.Errorf("%s: output comes after the answer", describe(a))
		}
		if offset < next {
			r.Errorf("%s: output at byte %d, but %d bytes came before", describe(a), offset, next)
		}
		missing += max(0, offset-next)
		next = offset + int64(len(p))
		out.Write(p)
		if each != nil {
			each(out.String())
		}
	})
	over.Store(1)
	if missing > 0 && next <= held {
		r.Errorf("%s: %d of %d bytes of output are missing", describe(a), missing, next)
	}
	return o, out.String(), err
}

// run runs a command in the shell. It fails unless the answer is a run observation.
func (r *rig) run(a sandbox.RunArgs, timeout time.Duration) (content string, res sandbox.RunResult) {
	r.Helper()
	o := r.do(sandbox.Action{Args: a, Timeout: timeout})
	res, ok := o.Result.(sandbox.RunResult)
	if !ok {
		r.Fatalf("%.200q: a %s observation: %.500q", a.Command, o.Kind(), o.Content)
	}
	return o.Content, res
}

// sh runs a command that must end with exit code 0, and gives what it printed.
func (r *rig) sh(command string) string {
	r.Helper()
	content, res := r.run(sandbox.RunArgs{Command: command, Blocking: true}, patience)
	if res.Metadata.ExitCode != 0 {
		r.Fatalf("%.200q: exit code %d: %.500q", command, res.Metadata.ExitCode, content)
	}
	return content
}

// prints checks what a command prints and with which code it ends.
func (r *rig) prints(command, content string, code int) {
	r.Helper()
	got, res := r.run(sandbox.RunArgs{Command: command, Blocking: true}, patience)
	r.want("the content of "+command, got, content)
	if res.Metadata.ExitCode != code {
		r.Errorf("%.200q: exit code %d, want %d", command, res.Metadata.ExitCode, code)
	}
}

func (r *rig) want(what, got, want string) {
	r.Helper()
	if got != want {
		r.Errorf("%.200s\nis   %.500q\nwant %.500q", what, got, want)
	}
}

func (r *rig) wantContains(what, got, want string) {
	r.Helper()
	if !strings.Contains(got, want) {
		r.Errorf("%.200s is %.500q, which lacks %.500q", what, got, want)
	}
}

func (r *rig) wantCode(what string, err error, want ...sandbox.Code) {
	r.Helper()
	got := sandbox.CodeOf(err)
	for _, c := range want {
		if got == c {
			return
		}
	}
	r.Errorf("%.200s: code %q, want one of %q (%v)", what, got, want, err)
}

func describe(a sandbox.Action) string {
	if run, ok := a.Args.(sandbox.RunArgs); ok {
		if len(run.Command) > 100 {
			return run.Command[:100] + "…"
		}
		return run.Command
	}
	return string(a.Kind())
}

// whichKernel is a command that names the kernel of a sandbox.
const whichKernel = "uname -r"

// control is what a terminal shows of a control character: as, or nothing where the kernel is gVisor's, whose terminals have the
// mode for it (ECHOCTL) and do not heed it.
func control(as, kernel string) string {
	if strings.Contains(kernel, "gvisor") {
		return ""
	}
	return as
}
