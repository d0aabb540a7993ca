package shell

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func startPipes(t testing.TB) *Session { return start(t, Config{Pipes: true, NoChange: time.Second}) }

func TestPipes(t *testing.T) { testPipes(t, startPipes(t)) }

// testPipes is what every shell on pipes can do.
func testPipes(t *testing.T, s *Session) {
	for _, c := range []struct {
		command, content string
		exit             int
	}{
		{"true", "", 0},
		{"false", "", 1},
		{"echo one; echo two >&2; (exit 7)", "one\ntwo", 7},
		{"x=5; f() { echo \"f $x\"; }; cd /usr", "", 0},
		{"f; pwd", "f 5\n/usr", 0},
		{"echo a\necho b\n", "a\nb", 0},
		{"cat <<E\n  two  \nlines\nE", "  two  \nlines", 0},
		{"if", "", 2},
		{"echo after", "after", 0},
		{"echo \"it's \\\\ \\$x\"", "it's \\ $x", 0},
		{"nothing_of_the_kind", "", 127},
		{"[ -t 0 ] || [ -t 1 ] || echo pipes", "pipes", 0},
		{"kill -9 $$", "", 137},
		{"echo again", "again", 0},
		{"exit 3", "", 3},
		{"pwd", "/usr", 0},
		{"false; echo $?; true", "1", 0},
		{"(exit 4)", "", 4},
		{"echo $?", "4", 0},
		{"(sleep 0.01 & wait); echo done", "done", 0},
		{"printf 'a\\t\\033[1mb'", "a\t\x1b[1mb", 0},
	} {
		got := do(t, s, sandbox.RunArgs{Command: c.command, Blocking: true}, time.Minute)
		if got.exit != c.exit || c.content != got.content && c.exit != 127 && c.exit != 2 {
			t.Errorf("%q: exit %d, %q; want %d, %q", c.command, got.exit, got.content, c.exit, c.content)
		}
	}
}

func TestPipesInput(t *testing.T) {
	s := startPipes(t)
	soft := func(command string) { // that waits for input
		t.Helper()
		if o := do(t, s, sandbox.RunArgs{Command: command}, 100*time.Millisecond); o.exit != -1 {
			t.Fatalf("%q: %+v", command, o)
		}
	}
	for range 2 { // what one has ended, the next one has anew
		soft("cat; echo end")
		if o := shows(t, s, sandbox.RunArgs{Command: "hello ", IsInput: true}, "hello "); o.exit != -1 || o.content != "hello " {
			t.Errorf("%+v", o)
		}
		if o := input(t, s, "C-d"); o.exit != 0 || o.content != "end" {
			t.Errorf("%+v", o)
		}
	}
	soft("read a; read b; echo $a-$b")
	if o := input(t, s, "1\n2\n3"); o.exit != 0 || o.content != "1-2" {
		t.Errorf("%+v", o)
	}
	soft("read x; echo [$x]") // the 3 is gone
	if o := input(t, s, "Enter"); o.content != "[]" {
		t.Errorf("%+v", o)
	}
	soft("sleep 1000")
	if o := do(t, s, sandbox.RunArgs{Command: "echo no"}, 0); !strings.Contains(o.suffix, "NOT executed") {
		t.Errorf("%+v", o)
	}
	if o := input(t, s, "C-c"); o.exit != 130 {
		t.Errorf("%+v", o)
	}
	soft("while :; do :; done")
	if o := input(t, s, "C-c"); o.exit != 130 {
		t.Errorf("%+v", o)
	}
	soft("sleep 1000")
	if _, err := s.Run(t.Context(), sandbox.RunArgs{Command: "C-z", IsInput: true}, 0, nil); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("C-z: %v", err)
	}
	if o := input(t, s, "C-c"); o.exit != 130 {
		t.Errorf("%+v", o)
	}
	run(t, s, "true", 0)
}

func TestPipesLongInput(t *testing.T) {
	s := startPipes(t)
	if o := do(t, s, sandbox.RunArgs{Command: "sleep 0.5; wc -c"}, 10*time.Millisecond); o.exit != -1 {
		t.Fatalf("%+v", o)
	}
	if o := do(t, s, sandbox.RunArgs{Command: strings.Repeat("x", 500_000), IsInput: true}, 10*time.Millisecond); o.exit != -1 {
		t.Errorf("%+v", o)
	}
	if o := input(t, s, "C-d"); strings.TrimSpace(o.content) != "500001" {
		t.Errorf("%+v", o)
	}
	run(t, s, "true", 0)
}

func TestPipesOutput(t *testing.T) {
	s := startPipes(t)
	var streamed strings.Builder
	out := func(offset int64, p []byte) {
		if offset != int64(streamed.Len()) {
			t.Errorf("offset %d, want %d", offset, streamed.Len())
		}
		streamed.Write(p)
	}
	o, err := s.Run(t.Context(), sandbox.RunArgs{Command: "seq 1000000", Hidden: true, Blocking: true}, time.Minute, out)
	if err != nil || streamed.Len() != 6888896 {
		t.Fatalf("%v, %d bytes", err, streamed.Len())
	}
	if !strings.HasSuffix(o.Content, "\n999999\n1000000") || len(o.Content) > maxTape {
		t.Errorf("%d bytes, %q", len(o.Content), o.Content[len(o.Content)-20:])
	}
	if m := o.Result.(sandbox.RunResult).Metadata; !strings.Contains(m.Prefix, "truncated") {
		t.Errorf("%+v", m)
	}
	if got := run(t, s, "echo small", 0); got.content != "small" || got.prefix != "" {
		t.Errorf("%+v", got)
	}
}

// A shell on pipes has the environment of one on a terminal, but for the terminal.
func TestPipesEnvironment(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(home+"/.bashrc", []byte("export FROM_RC=yes\nalias greet='echo hi'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Pipes: true, Env: environ(home)})
	if o := run(t, s, "echo $FROM_RC $TERM; greet; ls /proc/$$/fd | wc -l >/dev/null", 0); o.content != "yes dumb\nhi" {
		t.Errorf("%q", o.content)
	}
}

func TestPipesCloseLeavesNothing(t *testing.T) {
	s := start(t, Config{Pipes: true})
	o := run(t, s, "sleep 1000 & echo $!; setsid sleep 1000 & echo $!", 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(o.content) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%s/exe", pid)); err == nil {
			t.Errorf("%s is left", pid)
		}
	}
}

// RunSoon gives back what takes longer than a moment, and the session is the Rest's until that has been called.
func TestRunSoon(t *testing.T) {
	for _, pipes := range []bool{false, true} {
		s := start(t, Config{Pipes: pipes})
		soon := func(command string) (sandbox.Observation, Rest, error) {
			return s.RunSoon(sandbox.RunArgs{Command: command}, 0, nil)
		}
		for range 3 { // at least one in three is quick enough on any machine
			o, rest, err := soon("echo quick")
			if rest != nil {
				o, err = rest(t.Context())
			}
			if strings.TrimSpace(o.Content) != "quick" || err != nil {
				t.Errorf("%+v, %v", o, err)
			}
		}
		_, rest, err := soon("read x; echo \"[$x]\"")
		if rest == nil || err != nil {
			t.Fatalf("a command that waits for input: %v", err)
		}
		if _, again, err := soon("echo"); again != nil || err != ErrNotNow {
			t.Errorf("while another one runs: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if o, err := rest(ended); o.Content != interrupted || err != nil {
			t.Errorf("%+v, %v", o, err)
		}
		o := input(t, s, "a")
		if strings.TrimSpace(o.content) != "[a]" || o.exit != 0 {
			t.Errorf("%+v", o)
		}
		if _, rest, _ = soon("sleep 100"); rest == nil {
			t.Fatal("a command that sleeps has no Rest")
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		if o, err := rest(t.Context()); o.Content != interrupted || err != nil {
			t.Errorf("%+v, %v", o, err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
}
