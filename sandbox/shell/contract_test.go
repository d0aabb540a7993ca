package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const continued = "[Below is the output of the previous command.]\n"

// hintText is the long hint, written out once more, for it is part of the contract.
const hintText = `You may wait longer to see additional output by sending empty command '', send other commands to interact with the current process, send keys ("C-c", "C-z", "C-d") to interrupt/kill the previous command before sending your new command, or use the timeout parameter in execute_bash for future commands.`

func wantSuffix(t *testing.T, o seen, start string) {
	t.Helper()
	if !strings.HasPrefix(o.suffix, start) {
		t.Errorf("suffix %q, want it to begin with %q", o.suffix, start)
	}
}

func want(t *testing.T, o seen, content, prefix string, exit int) {
	t.Helper()
	if o.content != content || o.prefix != prefix || o.exit != exit {
		t.Errorf("%q: content %q, prefix %q, exit %d, want %q, %q, %d", o.Command, o.content, o.prefix, o.exit, content, prefix, exit)
	}
}

func TestLiterals(t *testing.T) {
	s := start(t, Config{NoChange: time.Second})
	o := do(t, s, sandbox.RunArgs{Command: " echo hi \n"}, 0)
	want(t, o, "hi", "", 0)
	if o.suffix != "\n[The command completed with exit code 0.]" || o.Command != "echo hi" || o.Hidden {
		t.Errorf("%+v", o)
	}
	m := o.Metadata
	if m.PID != -1 || *m.WorkingDir != s.Cwd() || *m.Hostname != hostName() || *m.Username != userName(nil) || m.PyPath == nil {
		t.Errorf("%+v", m)
	}
	o = do(t, s, sandbox.RunArgs{Command: "sleep 30"}, 0)
	if want := "\n[The command has no new output after 1 seconds. " + hintText + "]"; o.suffix != want {
		t.Errorf("%q", o.suffix)
	}
	if m := o.Metadata; m.PID != -1 || m.ExitCode != -1 || m.WorkingDir != nil || m.Hostname != nil || m.Username != nil || m.PyPath != nil {
		t.Errorf("%+v", m)
	}
	o = do(t, s, sandbox.RunArgs{Blocking: true}, 500*time.Millisecond)
	if want := "\n[The command timed out after 0.5 seconds. " + hintText + "]"; o.suffix != want {
		t.Errorf("%q", o.suffix)
	}
	o = do(t, s, sandbox.RunArgs{Command: "ls -l", Hidden: true}, 0)
	if want := "\n[Your command \"ls -l\" is NOT executed. The previous command is still running - You CANNOT send new commands until the previous command is completed. By setting `is_input` to `true`, you can interact with the current process: " + hintText + "]"; o.suffix != want {
		t.Errorf("%q", o.suffix)
	}
	if !o.Hidden || o.Command != "ls -l" {
		t.Errorf("%+v", o)
	}
	o = do(t, s, sandbox.RunArgs{}, -time.Second)
	wantSuffix(t, o, "\n[The command timed out after -1.0 seconds.")
	o = input(t, s, "C-c")
	want(t, o, "^C", "", 130)
	if o.suffix != "\n[The command completed with exit code 130. CTRL+C was sent.]" || o.Command != "C-c" {
		t.Errorf("%+v", o)
	}
}

func TestSecondsAsPythonPrintsThem(t *testing.T) {
	for f, s := range map[float64]string{1: "1.0", 2.5: "2.5", 120: "120.0", -1: "-1.0", 0.1: "0.1", 1e-5: "1e-05", 1.3: "1.3"} {
		if got := pythonFloat(time.Duration(f * 1e9).Seconds()); got != s {
			t.Errorf("%g: %s, want %s", f, got, s)
		}
	}
}

func TestNothingRuns(t *testing.T) {
	s := start(t, Config{})
	o := do(t, s, sandbox.RunArgs{}, 0)
	want(t, o, "ERROR: No previous running command to retrieve logs from.", "", -1)
	if o.suffix != "" || o.Command != "" {
		t.Errorf("%+v", o)
	}
	o = input(t, s, "yes")
	want(t, o, "ERROR: No previous running command to interact with.", "", -1)
	o = input(t, s, "C-c")
	want(t, o, "ERROR: No previous running command to interact with.", "", -1)
}

const tick = 300 * time.Millisecond

// Every answer brings what is new, on time, and nothing twice.
func TestOutputContinues(t *testing.T) {
	s := start(t, Config{})
	const limit = tick * 5 / 6
	o := do(t, s, sandbox.RunArgs{Command: "for i in {1..5}; do echo $i; sleep 0.3; done"}, limit)
	want(t, o, o.content, "", -1)
	var got []string
	if o.content != "" { // else bash has not come to it yet
		got = append(got, o.content)
	}
	for range 200 {
		begin := time.Now()
		o = do(t, s, sandbox.RunArgs{IsInput: len(got)%2 == 0}, limit)
		if o.content != "" {
			got = append(got, o.content)
		}
		if o.exit >= 0 {
			break
		}
		want(t, o, o.content, continued, -1)
		wantSuffix(t, o, "\n[The command timed out after 0.25 seconds.")
		if took := time.Since(begin); took < limit || took > defaultNoChange/2 { // which is the limit that it must not wait for
			t.Errorf("answered after %v, want %v", took, limit)
		}
	}
	if text := strings.Join(got, "\n"); text != "1\n2\n3\n4\n5" {
		t.Errorf("%q", text)
	}
	want(t, o, o.content, "", 0)
	wantSuffix(t, o, "\n[The command completed with exit code 0.]")
}

func TestRefusalBringsOutput(t *testing.T) {
	s := start(t, Config{NoChange: tick / 2})
	o := do(t, s, sandbox.RunArgs{Command: "echo 1; sleep 0.6; echo 2; read x; echo 3; sleep 0.3"}, 0)
	want(t, o, "1", "", -1)
	o = do(t, s, sandbox.RunArgs{Command: "sleep 15"}, 0)
	want(t, o, "", continued, -1)
	o = do(t, s, sandbox.RunArgs{IsInput: true, Blocking: true}, 2*tick)
	want(t, o, "2", continued, -1)
	input(t, s, "x")
	o = do(t, s, sandbox.RunArgs{Command: "sleep 15"}, 0)
	wantSuffix(t, o, "\n[Your command \"sleep 15\" is NOT executed. The previous command is still running")
	o = do(t, s, sandbox.RunArgs{Blocking: true}, 0)
	want(t, o, "", "", 0)
}

// The old command ends while nobody looks, and a new one comes.
func TestLateCompletion(t *testing.T) {
	s := start(t, Config{})
	awaitEnd := func() { // without telling the session
		for {
			s.sh.poll()
			if _, done, _, _ := s.sh.news(); done {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	hold := filepath.Join(t.TempDir(), "hold")
	// late begins a command of which the second part comes when nobody waits for it any more.
	late := func(first, second string) (o seen) {
		t.Helper()
		if err := os.WriteFile(hold, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		o = do(t, s, sandbox.RunArgs{Command: first + "while [ -e " + hold + " ]; do sleep 0.01; done; " + second}, 100*time.Millisecond)
		for first != "" && o.content == "" && o.exit == -1 { // bash has not come to it yet
			o = do(t, s, sandbox.RunArgs{}, 100*time.Millisecond)
		}
		if err := os.Remove(hold); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := late("printf '1\\n2\\n'; ", "echo 3; cd /")
	want(t, o, "1\n2", o.prefix, -1)
	awaitEnd()
	if s.Cwd() != "/" {
		t.Errorf("in %q", s.Cwd())
	}
	o = do(t, s, sandbox.RunArgs{Command: "echo new; false"}, 0)
	want(t, o, "3\nnew", "", 1)

	late("", "printf tail; exit 7")
	<-s.sh.gone
	o = input(t, s, "echo text") // executed, for nothing runs that could read it
	want(t, o, "tailexit\ntext", "", 0)

	late("", "echo tail; (exit 9)")
	awaitEnd()
	o = do(t, s, sandbox.RunArgs{}, 0)
	want(t, o, "tail", "", 9)

	late("", "echo tail; (exit 9)")
	awaitEnd()
	o = input(t, s, "C-c")
	want(t, o, "tail", "", 9)
	o = input(t, s, "C-c")
	want(t, o, "ERROR: No previous running command to interact with.", "", -1)
}

func TestTypedInput(t *testing.T) {
	s := start(t, Config{NoChange: 2 * time.Second}) // in which the others answer
	o := do(t, s, sandbox.RunArgs{Command: `read -p "Enter name: " name && echo "Hello $name"`}, 0)
	want(t, o, "Enter name:", "", -1)
	o = input(t, s, "John")
	want(t, o, "Hello John", "", 0)
	if o.Command != "John" {
		t.Errorf("command %q", o.Command)
	}
	o = do(t, s, sandbox.RunArgs{Command: `python3 -c "name = input('Enter your name: '); age = input('Enter your age: '); print(f'Hello {name}, you are {age} years old')"`}, 0)
	for o.content == "" { // python takes its time to start
		o = do(t, s, sandbox.RunArgs{}, 0)
	}
	want(t, o, "Enter your name:", o.prefix, -1)
	o = do(t, s, sandbox.RunArgs{Command: "Alice"}, 0)
	want(t, o, "", continued, -1)
	wantSuffix(t, o, "\n[Your command \"Alice\" is NOT executed. The previous command is still running")
	o = input(t, s, "Alice")
	want(t, o, "Enter your age:", continued, -1)
	o = input(t, s, "25")
	for polls := 0; o.exit == -1 && polls < 20; polls++ { // a busy machine takes its time to end a Python
		text := o.content
		o = do(t, s, sandbox.RunArgs{}, 0)
		o.content = strings.TrimSpace(text + o.content)
		o.prefix = ""
	}
	want(t, o, "Hello Alice, you are 25 years old", "", 0)
}

func TestHereDocumentLineByLine(t *testing.T) {
	s := start(t, Config{NoChange: time.Second})
	o := do(t, s, sandbox.RunArgs{Command: "cat << EOF"}, 0)
	want(t, o, "", "", -1)
	wantSuffix(t, o, "\n[The command has no new output after 1 seconds.")
	o = do(t, s, sandbox.RunArgs{Command: "ls"}, 0)
	wantSuffix(t, o, "\n[Your command \"ls\" is NOT executed.")
	for _, line := range []string{"line 1", "line 2"} {
		o = input(t, s, line)
		want(t, o, "", continued, -1)
	}
	o = input(t, s, "EOF")
	want(t, o, "line 1\nline 2", "", 0)
	wantSuffix(t, o, "\n[The command completed with exit code 0.]")

	do(t, s, sandbox.RunArgs{Command: "cat << EOF"}, 0)
	o = input(t, s, "C-c")
	want(t, o, "^C", "", 130)
	o = run(t, s, "echo $?", 0)
	want(t, o, "130", "", 0)
	do(t, s, sandbox.RunArgs{Command: "cat << EOF\na"}, 0)
	o = input(t, s, "C-d")
	if !strings.HasSuffix(o.content, "a") || !strings.Contains(o.content, "delimited by end-of-file") || o.exit != 0 {
		t.Errorf("%+v", o)
	}
	o = run(t, s, "cat << EOF\nb", 0) // blocking: there is nobody to type the rest
	if !strings.HasSuffix(o.content, "b") || strings.Contains(o.content, "__sandtree") {
		t.Errorf("%+v", o)
	}
}

func TestSpecialKeys(t *testing.T) {
	s := start(t, Config{NoChange: 150 * time.Millisecond})
	for _, c := range []struct {
		command, content string
		forks            bool
	}{
		{"while true; do sleep 0.01; done", "^C", false},
		{"while :; do :; done", "^C", false},
		{"sleep 100; echo never", "^C", true},
		{"read x", "^C", false},
		{"cat", "^C", true},
		{"sleep 100 | cat | cat", "^C", true},
		{"f() { sleep 100; echo never; }; f", "^C", true},
		{"(sleep 100; echo never)", "^C", true},
		{"wait $(sleep 100)", "^C", false},
	} {
		if o := do(t, s, sandbox.RunArgs{Command: c.command}, 0); o.exit != -1 {
			t.Errorf("%q ended: %+v", c.command, o)
			continue
		}
		if c.forks { // on a busy machine it may not be there yet
			for s.sh.foreground() == s.Pid() {
				time.Sleep(time.Millisecond)
			}
		}
		o := input(t, s, "C-c")
		for more := 0; c.forks && o.exit == -1 && more < 100; more++ { // a busy machine takes its time
			next := do(t, s, sandbox.RunArgs{}, 0)
			next.content = o.content + next.content
			o = next
		}
		missed := 0
		for ; !c.forks && o.exit == -1 && missed < 20; missed++ {
			// bash loses an interrupt that meets a child between fork and exec: the loop goes on until the next
			o = input(t, s, "C-c")
		}
		if o.exit != 130 || o.content != c.content && (missed == 0 || !strings.HasSuffix(o.content, c.content)) {
			t.Errorf("%q: content %q, exit %d", c.command, o.content, o.exit)
		}
		if o := run(t, s, "echo $?", 0); o.content != "130" {
			t.Errorf("after %q: content %q", c.command, o.content)
		}
	}
	do(t, s, sandbox.RunArgs{Command: "cat"}, 0)
	o := input(t, s, "C-d")
	want(t, o, "", "", 0)
	wantSuffix(t, o, "\n[The command completed with exit code 0. CTRL+D was sent.]")
	do(t, s, sandbox.RunArgs{Command: "sleep 30"}, 0)
	o = do(t, s, sandbox.RunArgs{Command: "C-c"}, 0) // not as input: refused like any command
	wantSuffix(t, o, "\n[Your command \"C-c\" is NOT executed.")
	o = input(t, s, "C-z")
	want(t, o, "^Z\n[1]+  Stopped                 sleep 30", "", 148)
	wantSuffix(t, o, "\n[The command completed with exit code 148. CTRL+Z was sent.]")
	o = do(t, s, sandbox.RunArgs{Command: "jobs"}, 0)
	want(t, o, "[1]+  Stopped                 sleep 30", "", 0)
	o = do(t, s, sandbox.RunArgs{Command: "fg"}, 0)
	want(t, o, "sleep 30", "", -1)
	o = input(t, s, "C-c")
	want(t, o, "^C", "", 130)
	for _, key := range []string{"C-c", "C-l", "C-z"} { // at the prompt
		o = do(t, s, sandbox.RunArgs{Command: key}, 0)
		if key == "C-c" {
			want(t, o, "^C", "", 130)
		} else {
			want(t, o, "", "", 130)
		}
	}
	want(t, run(t, s, "echo on", 0), "on", "", 0)
}

// TestTranscript is a transcript of the original's answers.
func TestTranscript(t *testing.T) {
	s := start(t, Config{NoChange: 2 * time.Second})
	in := true
	var job int
	for i, c := range []struct {
		command         string
		input           bool
		timeout         time.Duration
		content, prefix string
		suffix          string
		exit            int
	}{
		{"sleep 0.1 & echo b", false, 0, "[1] PID\nb", "", "\n[The command completed with exit code 0.]", 0},
		{"wait", false, 0, "[1]+  Done                    sleep 0.1", "", "\n[The command completed with exit code 0.]", 0},
		{"sleep 0.1 & sleep 1", false, 0, "[1] PID\n[1]+  Done                    sleep 0.1", "", "\n[The command completed with exit code 0.]", 0},
		{"sleep 30", false, time.Second / 5, "", "", "\n[The command timed out after 0.2 seconds.", -1},
		{"", false, time.Second / 5, "", continued, "\n[The command timed out after 0.2 seconds.", -1},
		{"ls", false, 0, "", continued, "\n[Your command \"ls\" is NOT executed.", -1},
		{"C-c", in, 0, "^C", "", "\n[The command completed with exit code 130. CTRL+C was sent.]", 130},
		{`read x; echo "[$x]"`, false, 0, "", "", "\n[The command has no new output after 2 seconds.", -1},
		{"Enter", in, 0, "[]", "", "\n[The command completed with exit code 0.]", 0},
		{"cat", false, 0, "", "", "\n[The command has no new output after 2 seconds.", -1},
		{"Escape", in, 0, "^[", continued, "\n[The command has no new output after 2 seconds.", -1},
		{"C-d", in, 0, "", "", "\n[The command completed with exit code 0. CTRL+D was sent.]", 0},
		{`printf '   a\n  b\n\n\n'`, false, 0, "a\n  b", "", "\n[The command completed with exit code 0.]", 0},
		{`printf 'a\tb\n'`, false, 0, "a       b", "", "\n[The command completed with exit code 0.]", 0},
		{`printf '10%%\r20%%\n'`, false, 0, "20%", "", "\n[The command completed with exit code 0.]", 0},
		{"tput smcup; echo ALT; tput rmcup; echo back", false, 0, "back", "", "\n[The command completed with exit code 0.]", 0},
		{"tput smcup; echo ALT; read x; tput rmcup; echo back", false, 0, "ALT", "", "\n[The command has no new output after 2 seconds.", -1},
		{"Enter", in, 0, "back", "", "\n[The command completed with exit code 0.]", 0},
		{`printf "printf hi"`, false, 0, "printf hi", "", "\n[The command completed with exit code 0.]", 0},
	} {
		o := do(t, s, sandbox.RunArgs{Command: c.command, IsInput: c.input}, c.timeout)
		if c.exit >= 0 && i == 0 {
			job = o.pid
		}
		content := strings.ReplaceAll(c.content, "PID", fmt.Sprint(o.pid))
		if c.command == "wait" && o.content == "" { // the job had ended before: then bash says nothing of it
			content = ""
		}
		if o.content != content || o.prefix != c.prefix || !strings.HasPrefix(o.suffix, c.suffix) || o.exit != c.exit || o.Command != c.command {
			t.Errorf("%d %q: %+v", i, c.command, o)
		}
		if (o.exit == -1) != (o.pid == -1) {
			t.Errorf("%d %q: pid %d", i, c.command, o.pid)
		}
	}
	if job <= 0 {
		t.Errorf("pid %d", job)
	}
}

func TestTooManyCommands(t *testing.T) {
	s := start(t, Config{})
	o, err := s.Run(t.Context(), sandbox.RunArgs{Command: "echo a\necho b"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a\n(2) echo b"; o.Content != want || o.Kind() != sandbox.KindError {
		t.Errorf("%+v", o)
	}
	hidden := do(t, s, sandbox.RunArgs{Command: "echo a\necho b", Hidden: true}, 0)
	if hidden.exit <= 0 || !hidden.Hidden || hidden.content != o.Content {
		t.Errorf("%+v", hidden)
	}
}

func TestLongOutput(t *testing.T) {
	s := start(t, Config{})
	o := run(t, s, "for i in $(seq 1 5000); do echo Line $i; done", 0)
	if o.prefix != "" || !strings.HasPrefix(o.content, "Line 1\n") || !strings.HasSuffix(o.content, "\nLine 5000") {
		t.Errorf("prefix %q, content %.20q…%q", o.prefix, o.content, o.content[len(o.content)-20:])
	}
	if n := len(o.content); n != 30000+len(cut) || !strings.Contains(o.content, "\n[... Observation truncated due to length ...]\n") {
		t.Errorf("%d characters", n)
	}
	o = run(t, s, "for i in $(seq 1 50000); do echo Line $i; done", 0)
	if !strings.Contains(o.content, "Line 40000\n") || !strings.HasSuffix(o.content, "Line 50000") {
		t.Errorf("content %.20q", o.content)
	}
	if want := "[Previous command outputs are truncated. Showing the last 10499 lines of the output below.]\n"; o.prefix != want {
		t.Errorf("prefix %q", o.prefix)
	}
	hidden := do(t, s, sandbox.RunArgs{Command: "seq 1 9000", Hidden: true}, 0)
	if strings.Count(hidden.content, "\n") != 8999 || hidden.prefix != "" {
		t.Errorf("%d lines", strings.Count(hidden.content, "\n")+1)
	}
}

func TestMultiLineCommands(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ command, content string }{
		{"echo \\\n -e \"foo\"", "foo"},
		{"echo -e \"hello\nworld\"", "hello\nworld"},
		{`echo -e "a\n\n\nz"`, "a\n\n\nz"},
		{"if true; then\necho \"inside if\"\nfi", "inside if"},
		{"for i in 1 2; do\n  for j in a b; do\n    echo \"$i$j\"\n  done\ndone && echo \"created files\"", "1a\n1b\n2a\n2b\ncreated files"},
		{`count=0; flips=0; while [ $count -lt 3 ]; do result=1; flips=$((flips+1)); if [ $result -eq 1 ]; then count=$((count+1)); else count=0; fi; done; echo "Got 3 heads in a row after $flips flips!"`, "Got 3 heads in a row after 3 flips!"},
		{"cat << EOF\nline 1\nline 2\nEOF", "line 1\nline 2"},
		{"[[ 1 == 1 ]] && echo y\necho z", "y\nz"},
		{"find /etc/hostname -type f -exec grep -l . {} \\;", "/etc/hostname"},
		{"echo x;", "x"},
	} {
		o := run(t, s, c.command, 0)
		if o.content != c.content || o.Command != c.command {
			t.Errorf("%q: %q", c.command, o.content)
		}
	}
	run(t, s, "nonexistent_command", 127)
	if o := run(t, s, "env", 0); o.content != run(t, s, "env", 0).content {
		t.Error("the environment changes from command to command")
	}
}
