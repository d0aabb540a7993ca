package runtimetest

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

var commands = []test{
	{"an observation tells all", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: "echo hi"}, 0)
		r.want("the content", content, "hi")
		r.want("the command", res.Command, "echo hi")
		md := res.Metadata
		r.want("the suffix", md.Suffix, "\n[The command completed with exit code 0.]")
		r.want("the prefix", md.Prefix, "")
		if md.ExitCode != 0 || md.PID != -1 || res.Hidden {
			r.Errorf("%+v", res)
		}
		if md.WorkingDir == nil || !path.IsAbs(*md.WorkingDir) || md.Username == nil || *md.Username == "" || md.Hostname == nil {
			r.Errorf("where and who it was is not said: %+v", md)
		}
	}},
	{"exit codes", func(r *rig) {
		r.prints("true", "", 0)
		r.prints("false", "", 1)
		r.prints("(exit 7)", "", 7)
		r.prints("sh -c 'kill -9 $$'", "Killed", 137) // as bash says
		r.prints("false || echo saved", "saved", 0)
		_, res := r.run(sandbox.RunArgs{Command: "no-such-program-anywhere"}, 0)
		if res.Metadata.ExitCode != 127 {
			r.Errorf("an unknown program: exit code %d", res.Metadata.ExitCode)
		}
		r.want("the suffix", res.Metadata.Suffix, "\n[The command completed with exit code 127.]")
		r.prints("(exit 3)", "", 3)
		r.prints("echo $?", "3", 0) // the shell's own $? is the last command's too
	}},
	{"the directory is kept", func(r *rig) {
		home := r.sh("pwd")
		r.sh("mkdir -p sub/deep && cd sub/deep")
		r.want("pwd", r.sh("pwd"), home+"/sub/deep")
		_, res := r.run(sandbox.RunArgs{Command: "true"}, 0)
		if dir := res.Metadata.WorkingDir; dir == nil || *dir != home+"/sub/deep" {
			r.Errorf("the directory is said to be %v", dir)
		}
		r.sh("cd " + home)
	}},
	{"variables, functions and aliases are kept", func(r *rig) {
		r.sh(`export KEPT='two  words'; plain=1; greet() { echo "hello $1"; }; alias shout='echo LOUD'`)
		r.prints(`echo "$KEPT $plain"; greet you; sh -c 'echo "$KEPT"'`, "two  words 1\nhello you\ntwo  words", 0)
		r.prints("shout", "LOUD", 0)
		r.sh("set -u; set +u; unalias shout; unset KEPT")
		r.prints(`echo "[$KEPT]"`, "[]", 0)
	}},
	{"a here-document", func(r *rig) {
		r.prints("cat <<'EOF'\n$HOME `id` \"quoted\" 'single' \\n\n\tindented by a tab? no: last\nEOF", "$HOME `id` \"quoted\" 'single' \\n\n        indented by a tab? no: last", 0)
		r.prints("cat > from-heredoc <<EOF\nline 1\n\nline 3\nEOF", "", 0)
		r.prints("wc -l < from-heredoc", "3", 0)
	}},
	{"a compound command of many lines", func(r *rig) {
		r.prints("for i in 1 2 3; do\n  if [ $i -eq 2 ]; then\n    echo two\n  else\n    echo \"other $i\"\n  fi\ndone", "other 1\ntwo\nother 3", 0)
		r.prints("echo one &&\necho two \\\n  three", "one\ntwo three", 0)
		r.prints("{\n  echo a\n  echo b\n}", "a\nb", 0)
	}},
	{"several commands at once are refused", func(r *rig) {
		o := r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "echo a > ran\necho b"}})
		if o.Kind() != sandbox.KindError {
			r.Errorf("a %s observation", o.Kind())
		}
		r.want("the content", o.Content, "ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a > ran\n(2) echo b")
		r.prints("ls ran 2>/dev/null", "", 2)
	}},
	{"a syntax error", func(r *rig) {
		_, res := r.run(sandbox.RunArgs{Command: "echo )", Blocking: true}, patience)
		if res.Metadata.ExitCode == 0 {
			r.Error("it succeeds")
		}
		r.prints("echo fine", "fine", 0)
	}},
	{"a comment", func(r *rig) { r.prints("# nothing to do", "", 0) }},
	{"text of every kind", func(r *rig) {
		r.prints(`echo 'Grüße, 世界 😀' "hi!there" 100% \$x`, "Grüße, 世界 😀 hi!there 100% $x", 0)
		r.prints("echo x;", "x", 0)
		r.prints(`echo '  inner   blanks  '`, "inner   blanks", 0)
		r.prints("printf 'no newline'", "no newline", 0)
		r.prints(`find . -maxdepth 0 -exec echo {} \;`, ".", 0)
		r.prints("echo 'a\\|b \\& c'", `a\|b \& c`, 0)
	}},
	{"a terminal's tricks are played out", func(r *rig) {
		r.prints(`[ -t 0 ] && [ -t 1 ] && echo terminal`, "terminal", 0)
		r.prints(`printf '   a\n  b\n\n\n'`, "a\n  b", 0)
		r.prints(`printf 'a\tb\n'`, "a       b", 0)
		r.prints(`printf '10%%\r20%%\n'`, "20%", 0)
		r.prints(`printf '\033[1;31mred\033[0m\n'`, "red", 0)
		r.prints(`printf '\033[?1049hALT\033[?1049l'; echo back`, "back", 0)
	}},
	{"output that is no text", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: `printf 'begin\001\200\377\376\000\r\nend\n'`}, 0)
		if !utf8.ValidString(content) || res.Metadata.ExitCode != 0 {
			r.Errorf("%q, exit code %d", content, res.Metadata.ExitCode)
		}
		r.wantContains("the content", content, "begin")
		r.wantContains("the content", content, "end")
		r.prints("head -c 20000 /dev/urandom >/dev/tty; printf '\\033c\\033[!p\\033(B\\017'", "", 0)
		r.prints("echo fine", "fine", 0)
	}},
	{"a command with a NUL byte ends somehow", func(r *rig) {
		// No shell can be given one: it is refused or dropped, but nothing hangs.
		_, _, err := r.try(r.context(), sandbox.Action{Args: sandbox.RunArgs{Command: "echo a\x00b", Blocking: true}, Timeout: patience}, nil)
		if err != nil {
			r.wantCode("it", err, sandbox.Invalid)
		}
		r.prints("echo fine", "fine", 0)
	}},
	{"a command of 5 MB", func(r *rig) {
		word := strings.Repeat("x", 999) + " "
		payload := strings.Repeat(word, 5000)
		r.prints(": '"+payload+"'; echo done", "done", 0)
		r.prints("wc -c <<'EOF'\n"+strings.ReplaceAll(payload, " ", "\n")+"EOF", "5000000", 0)
	}},
	{"a background job does not hold the answer", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: "sleep 300 & echo started"}, 0)
		if !regexp.MustCompile(`^\[1\] \d+\nstarted$`).MatchString(content) || res.Metadata.PID <= 0 {
			r.Errorf("%q, pid %d", content, res.Metadata.PID)
		}
		r.want("kill says", r.sh("kill %1; wait 2>/dev/null; true"), "")
		r.sh("true") // takes the notice of its end, if there is one
	}},
	{"a static command leaves the session alone", func(r *rig) {
		r.sh("mkdir -p static; session=mine")
		home := r.sh("pwd")
		content, _ := r.run(sandbox.RunArgs{Command: `pwd; echo "[$session]"; leaked=1; cd /`, IsStatic: true, Cwd: home + "/static"}, 0)
		r.want("the content", content, home+"/static\n[]")
		r.prints(`pwd; echo "[$session$leaked]"`, home+"\n[mine]", 0)
	}},
	{"only what is not hidden is truncated", func(r *rig) {
		const command = "head -c 40000 /dev/zero | tr '\\0' x"
		content, res := r.run(sandbox.RunArgs{Command: command, Hidden: true}, 0)
		if len(content) != 40000 || !res.Hidden {
			r.Errorf("hidden: %d characters, hidden %v", len(content), res.Hidden)
		}
		content, _ = r.run(sandbox.RunArgs{Command: command}, 0)
		half := strings.Repeat("x", 15000)
		r.want("the content", content, half+"\n[... Observation truncated due to length ...]\n"+half)
	}},
	{"one at a time, whoever asks", func(r *rig) {
		r.sh("rm -f order")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				o, err := r.rt.Do(r.context(), sandbox.Action{Args: sandbox.RunArgs{Command: fmt.Sprintf("echo in >> order; echo %d; echo out >> order", i), Blocking: true}}, nil)
				if err != nil || o.Content != fmt.Sprint(i) {
					r.Errorf("%d: %q, %v", i, o.Content, err)
				}
			})
		}
		wg.Wait()
		r.want("the order", r.sh("cat order"), strings.TrimSpace(strings.Repeat("in\nout\n", 8)))
	}},
}
