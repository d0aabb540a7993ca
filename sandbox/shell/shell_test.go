package shell

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func start(t testing.TB, c Config) *Session {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Env == nil {
		c.Env = os.Environ()
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

func run(t testing.TB, s *Session, a sandbox.RunArgs, timeout time.Duration) (string, sandbox.RunMetadata) {
	t.Helper()
	o, err := s.Run(t.Context(), a, timeout, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := o.Result.(sandbox.RunResult)
	if !ok {
		t.Fatalf("%#v", o)
	}
	return o.Content, r.Metadata
}

func TestFirst(t *testing.T) {
	s := start(t, Config{NoChange: time.Second})
	for _, c := range []string{"echo hi", "true", "false", "echo $?", "nonexist_x", "echo 'abc", "sleep 0.1 & echo b", "sleep 0.2", "true", "cd /tmp", "pwd", "ls -l /proc/self/fd", "tty; stty size", "echo $-", "set -x", "echo hi", "set +x", "kill -9 $$", "echo $$", "exit 3", "pwd", strings.Repeat("x", 100)} {
		now := time.Now()
		o, m := run(t, s, sandbox.RunArgs{Command: c}, 0)
		t.Logf("%s → %q %d %d %v %q", c, o, m.ExitCode, m.PID, time.Since(now), s.Cwd())
	}
}

func BenchmarkTrue(b *testing.B) {
	s := start(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		run(b, s, sandbox.RunArgs{Command: "true"}, 0)
	}
}

func BenchmarkEcho(b *testing.B) {
	s := start(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		if c, _ := run(b, s, sandbox.RunArgs{Command: "echo hello"}, 0); c != "hello" {
			b.Fatal(c)
		}
	}
}
