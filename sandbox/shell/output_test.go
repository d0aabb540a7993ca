package shell

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A recorder is an Output that checks the offsets.
type recorder struct {
	t    *testing.T
	got  []byte
	next int64
	gap  int64
}

func (r *recorder) output(offset int64, p []byte) {
	if offset < r.next {
		r.t.Errorf("offset %d after %d", offset, r.next)
	}
	r.gap += offset - r.next
	r.next = offset + int64(len(p))
	r.got = append(r.got, p...)
}

// All that a command prints is there when its end is known, whatever its size, and not a byte more or less.
func TestNothingGetsLost(t *testing.T) {
	s := start(t, Config{})
	big := strings.Repeat("0123456789", 500)
	if err := os.WriteFile(filepath.Join(s.Cwd(), "big"), []byte(strings.Repeat(big, 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		n := rng.IntN(20000)
		if i%3 == 0 {
			n = rng.IntN(10)
		}
		var command string
		switch i % 4 {
		case 0:
			command = fmt.Sprintf("head -c %d big", n)
		case 1:
			command = fmt.Sprintf("read -rN %d x <big; printf %%s \"$x\"", n)
		case 2:
			command = fmt.Sprintf("head -c %d big | cat", n)
		default:
			command = fmt.Sprintf("(head -c %d big; sleep 0.2 & disown) 2>/dev/null", n)
		}
		r := recorder{t: t}
		o, err := s.Run(t.Context(), sandbox.RunArgs{Command: command, Hidden: true}, 0, r.output)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Content) != n || int(r.next) != n || r.gap != 0 || string(r.got) != o.Content {
			t.Fatalf("%d: %q: %d characters seen, %d bytes heard, want %d", i, command, len(o.Content), len(r.got), n)
		}
	}
}

func TestStream(t *testing.T) {
	s := start(t, Config{})
	// It comes while the command runs.
	first := make(chan struct{})
	r := recorder{t: t}
	o, err := s.Run(t.Context(), sandbox.RunArgs{Command: `printf '\e[1mone\e[m\n'; read x; echo two`}, 5*time.Second, func(off int64, p []byte) {
		r.output(off, p)
		if string(r.got) == "\x1b[1mone\x1b[m\r\n" {
			close(first)
			_ = s.sh.press([]byte("go\r"))
		}
	})
	<-first
	if err != nil || o.Content != "one\ngo\ntwo" || string(r.got) != "\x1b[1mone\x1b[m\r\ngo\r\ntwo\r\n" {
		t.Errorf("%+v %v %q", o, err, r.got)
	}
	// What came while nobody listened comes first.
	shows(t, s, sandbox.RunArgs{Command: "echo told; read x; echo untold >&2; read y; echo heard"}, "told")
	if err := s.sh.press([]byte("a\r")); err != nil {
		t.Fatal(err)
	}
	awaitBacklog(t, s, "a\r\nuntold\r\n")
	r = recorder{t: t}
	if _, err := s.Run(t.Context(), sandbox.RunArgs{Command: "go", IsInput: true}, 0, r.output); err != nil {
		t.Fatal(err)
	}
	if string(r.got) != "a\r\nuntold\r\ngo\r\nheard\r\n" || r.gap != 0 {
		t.Errorf("%q", r.got)
	}
	// Too much for being kept: there is a gap, and the offsets tell.
	do(t, s, sandbox.RunArgs{Command: "read x; yes 0123456789 | head -n 20000; echo enough; read x"}, 100*time.Millisecond)
	if err := s.sh.press([]byte("a\r")); err != nil {
		t.Fatal(err)
	}
	awaitBacklog(t, s, "enough\r\n")
	r = recorder{t: t}
	if _, err := s.Run(t.Context(), sandbox.RunArgs{Command: "C-c", IsInput: true}, 0, r.output); err != nil {
		t.Fatal(err)
	}
	if r.gap <= 0 || r.next < 240000 || !strings.Contains(string(r.got), "0123456789\r\nenough\r\n^C") {
		t.Errorf("gap of %d, end at %d, %q", r.gap, r.next, r.got[max(0, len(r.got)-30):])
	}
}

// awaitBacklog waits until what nobody has heard ends in end.
func awaitBacklog(t *testing.T, s *Session, end string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		s.view.mu.Lock()
		ok := strings.HasSuffix(string(s.view.backlog), end)
		s.view.mu.Unlock()
		if ok {
			return
		}
	}
	t.Fatal("it does not come")
}

// A million lines take no time and no memory to speak of.
func TestMillionLines(t *testing.T) {
	s := start(t, Config{})
	begin := time.Now()
	o := run(t, s, "seq 1000000", 0)
	t.Logf("a million lines: %v", time.Since(begin))
	if !strings.HasSuffix(o.content, "\n1000000") || !strings.HasPrefix(o.content, "989502\n") {
		t.Errorf("%.20q…%q", o.content, o.content[len(o.content)-20:])
	}
	o = run(t, s, "head -c 3000000 /dev/zero | tr '\\0' x", 0) // one line of 3 MB
	if !strings.HasPrefix(o.content, "xxx") || len(o.content) < 30000 {
		t.Errorf("%d characters", len(o.content))
	}
}

func TestBinaryOutput(t *testing.T) {
	s := start(t, Config{})
	noise := make([]byte, 200000)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	if err := os.WriteFile(filepath.Join(s.Cwd(), "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		run(t, s, "cat noise", 0)
		if o := run(t, s, "echo clean", 0); o.content != "clean" {
			t.Fatalf("%q", o.content)
		}
	}
}

func TestRendering(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ command, content, prefix string }{
		{`printf '\e[32mgreen\e[0m\n'`, "green", ""},
		{`printf 'abc\b\bX\n'`, "aXc", ""},
		{`printf 'a  \n\n b  \n'`, "a\n\n b", ""},
		{`printf '%1500s|\n' x | tr ' ' .`, strings.Repeat(".", 1499) + "x|", ""},
		{`printf 'a\xffb\0c\n'`, "a\uFFFDbc", ""},
		{`echo before; clear; echo after`, "after", "[Previous command outputs are truncated. Showing the last 1 lines of the output below.]\n"},
		{"echo '   '", "", ""},
		{`for i in 1 2 3; do printf "\r$i/3"; done`, "3/3", ""},
		{"tput cols; tput lines", "1000\n1000", ""},
		{"ls --color=always -d / | cat", "/", ""},
		{"echo -n no newline", "no newline", ""},
	} {
		if o := run(t, s, c.command, 0); o.content != c.content || o.prefix != c.prefix {
			t.Errorf("%q: %q, prefix %q", c.command, o.content, o.prefix)
		}
	}
}

// Programs that take the whole screen can be seen and operated.
func TestFullScreenProgram(t *testing.T) {
	s := start(t, Config{NoChange: 300 * time.Millisecond})
	run(t, s, "seq 3 >three; command -v less", 0)
	o := do(t, s, sandbox.RunArgs{Command: "echo top; less three"}, 0)
	if !bytes.HasPrefix([]byte(o.content), []byte("1\n2\n3")) || o.exit != -1 {
		t.Errorf("%+v", o)
	}
	o = input(t, s, "q")
	if o.exit != 0 || o.content != "" && o.content != "top" {
		t.Errorf("%+v", o)
	}
	// A nested shell is a program like any other.
	o = do(t, s, sandbox.RunArgs{Command: "PS1='nested> ' bash --norc"}, 0)
	if o.content != "nested>" {
		t.Errorf("%+v", o)
	}
	o = input(t, s, "echo $((6*7))")
	if o.content != "42\nnested>" {
		t.Errorf("%+v", o)
	}
	o = input(t, s, "exit 3")
	if o.exit != 3 || o.content != "exit" {
		t.Errorf("%+v", o)
	}
}

// Asking for the directory takes the report from under the nose of who waits for it.
func TestAskedMeanwhile(t *testing.T) {
	s := start(t, Config{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.Cwd()
				s.Alive()
			}
		}
	})
	for range 300 {
		if o := do(t, s, sandbox.RunArgs{Command: "true"}, time.Minute); o.exit != 0 { // its limit has ended it
			t.Fatalf("%+v", o)
		}
	}
	close(stop)
	wg.Wait()
}
