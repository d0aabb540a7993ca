package shell

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// What cannot be parsed is an error at once, and the shell goes on.
func TestSyntaxErrors(t *testing.T) {
	s := start(t, Config{})
	for _, command := range []string{
		`echo "abc`, `echo 'abc`, "echo `abc", `echo $(abc`, `if true; then`, `for i in 1 2; do echo $i`, `ls;;`, `)`, `}`, `{`, `(`,
		`case x in`, `while`, `a | | b`, `&&`, `| ls`, `;`, "echo a\nfi", `[[ a`, `f(`, `((`, `x=(`, `echo ${`, `!!(`, `do`, "if\nthen",
		`cat <<'`,
	} {
		o := run2(t, s, command)
		if o.exit != 1 && o.exit != 2 && o.exit != 127 {
			t.Errorf("%q: exit code %d, content %q", command, o.exit, o.content)
		}
		if strings.Contains(o.content, "__sandtree") || strings.Contains(o.content, "printf") {
			t.Errorf("%q: content %q", command, o.content)
		}
		if o := run(t, s, "echo ok", 0); o.content != "ok" {
			t.Errorf("after %q: %q", command, o.content)
		}
	}
}

// run2 runs a command with a limit of two seconds, whatever its exit code.
func run2(t *testing.T, s *Session, command string) seen {
	t.Helper()
	return do(t, s, sandbox.RunArgs{Command: command, Blocking: true}, 2*time.Second)
}

// Odd but legal texts run as they are.
func TestTextsAsGiven(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ command, content string }{
		{"echo a \\", "a"},
		{"echo a #", "a"},
		{"echo 'a\nb'", "a\nb"},
		{"echo \"a\n\nb\"", "a\n\nb"},
		{`echo '!!' "!!" !x`, "!! !! !x"},
		{`printf '%s' 'it'\''s'`, "it's"},
		{`echo "\$HOME \\ \" '"`, `$HOME \ " '`},
		{"echo $'\\x41'", "A"},
		{"echo äöü€😀", "äöü€😀"},
		{"printf '%s' 'a\x01\x02b\x7f' | od -An -tx1", "61 01 02 62 7f"},
		{"printf '%s' 'a\xff\xfeb' | od -An -tx1", "61 ff fe 62"},
		{"printf '%s' 'a\tb' | od -An -tx1", "61 09 62"},
		{"printf '%s' 'a\r\nb' | od -An -tx1", "61 0d 0a 62"},
		{"echo a\x00b", "ab"},
		{"cat <<'EOF'\n$x `y` \\z\n  \"q\"\nEOF", "$x `y` \\z\n  \"q\""},
		{"echo -n; echo --", "--"},
		{"--help 2>/dev/null || echo no", "no"},
		{"# only a comment", ""},
		{"x=1", ""},
		{"echo $x", "1"},
		{`f() { echo "in f $1"; }; f 3`, "in f 3"},
		{"f 4", "in f 4"},
		{"alias hi='echo hello'", ""},
		{"hi", "hello"},
		{"set -- a b; echo $#", "2"},
		{"echo $2", "b"},
		{"cd / && pwd", "/"},
		{"pwd", "/"},
		{"echo $OLDPWD | wc -l", "1"},
		{`type git | head -1`, "git is aliased to `git --no-pager'"},
		{"history", ""},
		{"echo $-", "himBs"},
		{"echo ${#PS1}${PROMPT_COMMAND-none}", "0none"},
		{"read -t 0 x; echo $?", "1"},
		{"[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo yes", "yes"},
		{"stty size", "1000 1000"},
		{"echo a >&2", "a"},
		{"echo $TERM", "xterm-256color"},
	} {
		if o := run(t, s, c.command, 0); o.content != c.content {
			t.Errorf("%q: content %q, want %q", c.command, o.content, c.content)
		}
	}
}

// A command of 5 MB runs; so does one that brings a document of that size.
func TestLargeCommands(t *testing.T) {
	s := start(t, Config{})
	big := strings.Repeat("0123456789abcde\n", 5<<20/16)
	begin := time.Now()
	o := run(t, s, "cat >big <<'EOF'\n"+big+"EOF", 0)
	t.Logf("5 MB document: %v", time.Since(begin))
	if o.content != "" {
		t.Errorf("content %q", o.content[:100])
	}
	got, err := os.ReadFile(filepath.Join(s.Cwd(), "big"))
	if err != nil || string(got) != big {
		t.Errorf("the file has %d bytes, want %d (%v)", len(got), len(big), err)
	}
	begin = time.Now()
	word := strings.Repeat("x", 5<<20)
	if o := run(t, s, "v="+word+"; echo ${#v}", 0); o.content != "5242880" {
		t.Errorf("content %q", o.content)
	}
	t.Logf("5 MB word: %v", time.Since(begin))
}

// Options that end shells or print what they do leave the session in order.
func TestShellOptions(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct {
		command, content string
		exit             int
	}{
		{"set -u", "", 0},
		{"echo $nope", "bash: nope: unbound variable", 1},
		{"echo a", "a", 0},
		{"false", "", 1},
		{"echo $?", "1", 0},
		{"set +u; set -e", "", 0},
		{"false || true", "", 0},
		{"if false; then :; fi", "", 0},
		{"! true && :", "", 1}, // leaves $? 1 without ending the shell
		{"echo $?", "1", 0},
		{"trap 'echo ERR' ERR", "", 0},
		{"! true && :", "", 1},
		{"echo $?", "1", 0},
		{"set +e; trap - ERR", "", 0},
		{"set -x", "", 0},
		{"echo hi", "++ echo hi\nhi", 0},
		{"false", "++ false", 1},
		{"echo $?", "++ echo 1\n1", 0},
		{"echo 'a\nb'", "++ echo 'a\nb'\na\nb", 0},
		{"PS1='# '", "++ PS1='# '", 0},
		{"set +x", "++ set +x", 0},
		{"echo hi", "hi", 0},
		{"set -o posix", "", 0},
		{"false", "", 1},
		{"echo $?", "1", 0},
		{"set +o posix", "", 0},
		{"set -f; echo *; set +f", "*", 0},
		{"set -C; echo a; set +C", "a", 0},
		{"set -H; echo a!b", "a!b", 0},
		{"echo c!d!!", "c!d!!", 0},
		{"set +H", "", 0},
		{"trap 'echo bye' EXIT; exit 4", "exit\nbye", 4},
		{"echo $?", "0", 0},
		{"set -e", "", 0},
		{"false", "", 1}, // ends the shell
		{"echo $-", "himBs", 0},
		{"set -eu; cd /tmp; echo $nope", "bash: nope: unbound variable", 1},
		{"echo $-", "himBs", 0},
	} {
		o := run2(t, s, c.command)
		if o.content != c.content || o.exit != c.exit {
			t.Errorf("%q: content %q, exit %d, want %q, %d", c.command, o.content, o.exit, c.content, c.exit)
		}
	}
}

// A command that spoils descriptors or limits spoils no later command.
func TestShellPlumbing(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct {
		command, content string
		exit             int
	}{
		{"exec </dev/null", "", 0},
		{"exec 3>three; echo x >&3; exec 3>&-; cat three", "x", 0},
		{"exec 10>ten; exec 11>eleven; exec 20>twenty; echo y >&10", "", 0},
		{"cat ten", "y", 0},
		{"exec {fd}>four; echo z >&$fd; cat four", "z", 0},
		{"exec 2>/dev/null", "", 0},
		{"echo unseen >&2; echo seen", "seen", 0},
		{"exec 2>/dev/tty", "", 0},
		{"nonsense", "bash: nonsense: command not found", 127},
		{"exec >out", "", 0},
		{"echo hidden", "", 0},
		{"exec >/dev/tty; cat out", "hidden", 0},
		{"exec 1>&-", "", 0},
		{"true", "", 0},
		{"exec 1>/dev/tty", "", 0},
		{"echo back", "back", 0},
		{"ulimit -n 64", "", 0},
		{"echo a | cat", "a", 0},
		{"cat </dev/null; read -t 0; echo $?", "1", 0},
		{"exec 57>&-", "", 0},
		{"echo lost", "bash: 57: Bad file descriptor", 1},
		{"[ -t 0 ] && echo found", "found", 0},
		{"printf() { echo mine; }; printf x", "mine", 0},
		{"echo b", "b", 0},
		{"eval() { echo mine; }; eval x", "mine", 0},
		{"echo c", "c", 0},
		{"unset -f printf eval; alias printf=false eval=false; echo d", "d", 0},
		{"echo e", "e", 0},
		{"unset PATH", "", 0},
		{"ls", "bash: ls: No such file or directory", 127},
		{"PATH=/usr/bin:/bin; ls -d /", "/", 0},
		{"unset PWD; cd /usr; PWD=nonsense; echo f", "f", 0},
		{"pwd", "/usr", 0},
		{"PS1='$ '", "", 0},
		{"echo g", "g", 0},
		{`PS1='\u:\w\n$(echo sub) > '; echo h`, "h", 0},
		{"PS1=x PROMPT_COMMAND='echo prompt'", "prompt\nprompt", 0}, // shown while bash reads our lines, then taken back
		{"echo i", "i", 0},
		{"PROMPT_COMMAND=(true true); echo j", "j", 0},
		{"echo k", "k", 0},
		{"trap 'echo dbg' DEBUG", "dbg", 0},
		{"trap - DEBUG", "dbg\ndbg", 0},
		{"echo l", "l", 0},
		{"stty raw -echo -isig", "", 0},
		{"stty -a | tr ' ' '\\n' | grep -x isig", "isig", 0},
		{"IFS=:; echo m", "m", 0},
		{"echo n", "n", 0},
	} {
		o := run2(t, s, c.command)
		if strings.Contains(c.command, "DEBUG") || strings.Contains(c.command, "PROMPT_COMMAND='") {
			t.Logf("%q: %q", c.command, o.content)
			continue
		}
		if o.content != c.content || o.exit != c.exit || !filepath.IsAbs(*o.Metadata.WorkingDir) {
			t.Errorf("%q: content %q, exit %d, in %q, want %q, %d", c.command, o.content, o.exit, *o.Metadata.WorkingDir, c.content, c.exit)
		}
	}
}

func TestVirtualEnvironment(t *testing.T) {
	s := start(t, Config{})
	run(t, s, `mkdir -p v/bin; printf '#!/bin/sh\n' >v/bin/python; chmod +x v/bin/python`, 0)
	run(t, s, `printf '%s\n' 'PATH="$PWD/v/bin:$PATH"' 'PS1="(v) ${PS1:-}"' 'export PS1' 'echo active' >activate`, 0)
	o := run(t, s, "source ./activate", 0)
	if o.content != "active" {
		t.Errorf("content %q", o.content)
	}
	if want := s.Cwd() + "/v/bin/python"; *o.Metadata.PyPath != want {
		t.Errorf("python %q, want %q", *o.Metadata.PyPath, want)
	}
	if o := run(t, s, "echo next", 0); o.content != "next" {
		t.Errorf("content %q", o.content)
	}
}

func TestBrokenStartupFiles(t *testing.T) {
	for name, rc := range map[string]string{
		"quote":   "export A=1\nexport X=\"abc\"def\"\nexport B=2\n",
		"error":   "export A=1\nfi\n",
		"prompt":  "export A=1\nPS1='$ '\nPROMPT_COMMAND='echo hi'\n",
		"reads":   "export A=1\nread -t 0.01 x\ncat </dev/null\n",
		"noise":   "export A=1\necho hello; printf no-newline\n",
		"set -e":  "export A=1\nset -e\n",
		"options": "export A=1\nset -x; set -o vi; shopt -s extglob; set -o history\n",
		"cd":      "export A=1\ncd /\n",
		"guards":  "case $- in *i*) ;; *) return;; esac\n[ -z \"$PS1\" ] && return\n[ -t 0 ] || return\nexport A=1 TMOUT=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte(rc), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, Config{Env: environ(home)})
			if name == "options" {
				run(t, s, "set +x", 0)
			}
			if o := run(t, s, "echo $A", 0); o.content != "1" {
				t.Errorf("content %q", o.content)
			}
		})
	}
	for name, rc := range map[string]string{"exit": "exit 3\n", "kill": "kill -9 $$\n", "other shell": "exec sh\n", "program": "exec sleep 1000\n"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte(rc), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, Config{Env: environ(home)})
			if o := run(t, s, "echo up", 0); o.content != "up" {
				t.Errorf("content %q", o.content)
			}
		})
	}
}

// A shell that ends is replaced where it was.
func TestShellEnds(t *testing.T) {
	s := start(t, Config{NoChange: 200 * time.Millisecond})
	run(t, s, "cd /usr; x=1", 0)
	for _, c := range []struct {
		command string
		exit    int
	}{{"exit", 0}, {"exit 3", 3}, {"kill -9 $$", 137}, {"kill -SEGV $$", 139}, {"exec false", 1}, {"exec true", 0}, {"C-d", 0}, {"false; exit", 1}} {
		run(t, s, "cd /usr; x=1; true", 0)
		pid := s.Pid()
		o := do(t, s, sandbox.RunArgs{Command: c.command}, 0)
		if o.exit != c.exit {
			t.Errorf("%s: exit %d, want %d", c.command, o.exit, c.exit)
		}
		if s.Pid() == pid || !s.Alive() {
			t.Errorf("%s: the shell was not replaced", c.command)
		}
		if o := run(t, s, `echo "$PWD$x"`, 0); o.content != "/usr" {
			t.Errorf("%s: afterwards %q", c.command, o.content)
		}
	}
	// While a command runs after a timeout.
	do(t, s, sandbox.RunArgs{Command: "read x; exit 5"}, 0)
	if o := input(t, s, "go"); o.exit != 5 {
		t.Errorf("exit %d, want 5", o.exit)
	}
	// Its directory has gone.
	run(t, s, "mkdir /tmp/gone-$$ && cd /tmp/gone-$$", 0)
	run(t, s, "rmdir $PWD; exit 6", 6)
	if o := run(t, s, "pwd", 0); o.content != s.config.Dir {
		t.Errorf("in %q, want %q", o.content, s.config.Dir)
	}
}

// A shell that dies, or stops, while nobody looks.
func TestShellIsTakenAway(t *testing.T) {
	s := start(t, Config{NoChange: 100 * time.Millisecond})
	run(t, s, "cd /usr", 0)
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.sh.gone
	if s.Alive() || s.Cwd() != "/usr" {
		t.Errorf("alive %t, in %s", s.Alive(), s.Cwd())
	}
	if o := run(t, s, "pwd", 0); o.content != "/usr" {
		t.Errorf("%+v", o)
	}
	// While a command runs after a timeout.
	do(t, s, sandbox.RunArgs{Command: "echo a; read x"}, 0)
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := do(t, s, sandbox.RunArgs{Blocking: true}, 0); o.exit != 137 {
		t.Errorf("%+v", o)
	}
	if o := do(t, s, sandbox.RunArgs{Command: "suspend -f || kill -STOP $$"}, 0); o.exit != -1 {
		t.Errorf("%+v", o)
	}
	if o := input(t, s, "C-c"); o.exit == -1 {
		t.Errorf("%+v", o)
	}
	run(t, s, "true", 0)
}

// Interrupts may come at any moment, also when the shell reports or waits.
func TestInterruptsAtAnyMoment(t *testing.T) {
	s := start(t, Config{})
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 300 {
		var wg sync.WaitGroup
		var typed atomic.Bool
		wait := time.Duration(rng.IntN(3000)) * time.Microsecond
		wg.Go(func() {
			time.Sleep(wait)
			if i%2 == 0 || !s.sh.executing() {
				_ = s.Interrupt()
				return
			}
			typed.Store(true)
			_ = s.sh.press([]byte{3})
			s.sh.again()
		})
		command := []string{"for ((i=0; i<500; i++)); do :; done", "true", "/bin/true", "(exit 3)"}[i%4]
		o := do(t, s, sandbox.RunArgs{Command: command}, time.Minute) // at which exit is -1
		if o.exit != 0 && o.exit != 130 && o.exit != 3 {
			t.Fatalf("%d %q: %+v", i, command, o)
		}
		wg.Wait()
		if typed.Load() {
			s.typed = true
		}
		// None is left over for the next command.
		if o := do(t, s, sandbox.RunArgs{Command: "echo $((6*7))"}, time.Minute); !strings.HasSuffix(o.content, "42") || o.exit != 0 {
			t.Fatalf("%d, after %q: %+v", i, command, o)
		}
	}
}

// An interrupt that comes while bash still reads a long command does not make it execute a part of that.
func TestInterruptWhileReading(t *testing.T) {
	s := start(t, Config{NoChange: time.Millisecond})
	for range 2 {
		o := do(t, s, sandbox.RunArgs{Command: strings.Repeat("echo a part\n#'\"\n", 30000) + "[[ a ]]; while :; do :; done"}, 0)
		if o.exit != -1 {
			t.Fatalf("%+v", o)
		}
		o = do(t, s, sandbox.RunArgs{Command: "C-c", IsInput: true, Blocking: true}, time.Minute)
		// The key flushes what the terminal has not passed on yet, so that a line may be cut, or ^C stand anywhere.
		printed := strings.Replace(o.content, "^C", "", 1)
		lines := strings.Repeat("a part\n", 10)
		if o.exit != 130 && o.exit != 0 || !strings.HasPrefix(lines, printed[:min(len(printed), len(lines)/2)]) {
			t.Errorf("exit %d, %.100q", o.exit, o.content)
		}
	}
	if o := run(t, s, "echo on", 0); o.content != "on" {
		t.Errorf("%+v", o)
	}
}

// A PATH of megabytes makes the reports large, and nothing worse; what is beyond all measure costs the shell.
func TestHugeReport(t *testing.T) {
	s := start(t, Config{})
	run(t, s, "old=$PATH; x=$(head -c 1000000 /dev/zero | tr '\\0' x); PATH=$PATH:$x$x$x", 0)
	if o := run(t, s, "echo ${#PATH}; PATH=$old", 0); len(o.content) != 7 {
		t.Errorf("%+v", o)
	}
	o := do(t, s, sandbox.RunArgs{Command: "PATH=$PATH:$x$x$x$x$x$x$x$x$x$x$x$x$x$x$x$x$x$x", Blocking: true}, 30*time.Second)
	if o.exit != 137 {
		t.Errorf("%+v", o)
	}
	if o := run(t, s, "echo on", 0); o.content != "on" {
		t.Errorf("%+v", o)
	}
}
