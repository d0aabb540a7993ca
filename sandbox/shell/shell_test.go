package shell

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// start starts a session in a fresh directory and home, and closes it when the test ends.
func start(t testing.TB, c Config) *Session {
	t.Helper()
	need.Tool(t, "bash")
	leak.Check(t)
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Env == nil {
		c.Env = environ(t.TempDir())
	}
	s, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func environ(home string) []string {
	return []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "USER=tester"}
}

// A seen is an observation of kind run, in short.
type seen struct {
	content, prefix, suffix string
	exit, pid               int
	sandbox.RunResult
}

func do(t testing.TB, s *Session, a sandbox.RunArgs, timeout time.Duration) seen {
	t.Helper()
	o, err := s.Run(t.Context(), a, timeout, nil)
	if err != nil {
		t.Fatalf("%q: %v", a.Command, err)
	}
	r, ok := o.Result.(sandbox.RunResult)
	if !ok {
		t.Fatalf("%q: %#v", a.Command, o)
	}
	m := r.Metadata
	return seen{o.Content, m.Prefix, m.Suffix, m.ExitCode, m.PID, r}
}

// run runs a command that ends by itself and has the exit code wanted.
func run(t testing.TB, s *Session, command string, exit int) seen {
	t.Helper()
	o := do(t, s, sandbox.RunArgs{Command: command, Blocking: true}, time.Minute)
	if o.exit != exit {
		t.Fatalf("%q: exit code %d, want %d; content %q", command, o.exit, exit, o.content)
	}
	return o
}

// shows runs a command that prints text and then waits, and gives what was seen once the text was.
func shows(t testing.TB, s *Session, a sandbox.RunArgs, text string) seen {
	t.Helper()
	o := do(t, s, a, 100*time.Millisecond)
	for until := time.Now().Add(time.Minute); o.exit == -1 && !strings.Contains(o.content, text) && time.Now().Before(until); {
		before := o.content
		o = do(t, s, sandbox.RunArgs{}, 100*time.Millisecond)
		o.content = before + o.content
	}
	return o
}

// input types into the program that runs.
func input(t testing.TB, s *Session, text string) seen {
	t.Helper()
	return do(t, s, sandbox.RunArgs{Command: text, IsInput: true}, 0)
}

func contextAfter(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
