package shell

import (
	"errors"
	"os/exec"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// A dialect is what differs between the shells that a session can have.
type dialect struct {
	argv    []string // without the path
	fd      string   // the descriptor that stands for what programs read from
	prelude string   // makes it
	startup string   // what an interactive shell reads
	setup   string   // what every shell runs then
	eval    string   // evaluates the word that follows, even if that begins with a dash
	quote   func(dst []byte, s string) []byte
	marked  string // the rest of that word, which keeps its status
	tell    string // the redirection of what makes a report
	pipes   bool   // it is started with descriptor 2 open on the pipe of reports
}

// onTerminal is bash on a terminal, onPipes bash without one, plain a sh that knows no more than POSIX asks for.
var (
	onTerminal = &dialect{argv: []string{"bash", "--noediting", "--norc", "-i"}, fd: terminalFD, prelude: prelude,
		startup: startup, setup: setup, eval: `\builtin eval -- `, quote: appendQuoted, marked: `$'\n\n__sandtree=$?:`, tell: " >&0\n"}
	onPipes = &dialect{argv: []string{"bash", "--noediting", "--norc", "-i"}, fd: terminalFD, prelude: preludePiped,
		startup: startup, setup: setup, eval: `\builtin eval -- `, quote: appendQuoted, marked: `$'\n\n__sandtree=$?:`, tell: " >&" + reportFD + "\n", pipes: true}
	plain = &dialect{argv: []string{"sh", "-i"}, fd: "9", prelude: "exec 9<&3 3<&-",
		startup: "\nif [ -r ~/.profile ]; then . ~/.profile; fi\n", setup: plainSetup, eval: `command eval `, quote: appendPlain, marked: "'\n\n__sandtree=$?:", tell: " >&0\n"}
)

// reportFD is the descriptor in a bash on pipes that reports go out by. Like terminalFD it is a copy of a descriptor that bash
// has made close-on-exec: where there is no terminal, that is a copy of its standard error, which is the pipe of reports at first.
const (
	reportFD     = "58"
	preludePiped = "exec " + terminalFD + "<&3 3<&-; { exec " + reportFD + ">&255; } 2>/dev/null || exec " + reportFD + ">&2; exec 2>&1"
)

// plainSetup is setup for a sh. Its printf knows nothing of separators in the text, and is no special builtin, so that an
// error of it does not end the shell.
const plainSetup = `
__sandtree_status() { return "$1"; }
__sandtree_tell() { printf '%s\n' "$1` + told + toldLast + `$1" || exit; }
__sandtree_brief() { printf '%s\n' "$1` + told + toldDir + `$1" || exit; }
__sandtree_tidy() { printf '%s\n' "$1` + told + toldLast + `$1" || exit; PS1= PS2=; }
PS1= PS2=
unset TMOUT
alias git='git --no-pager'
`

// lookShell finds the shell of sessions on pipes. Code: Unsupported.
func lookShell() (path string, d *dialect, err error) {
	if path, err = lookBash(); err == nil {
		return path, onPipes, nil
	}
	for _, name := range []string{"/bin/sh", "sh"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, plain, nil
		}
	}
	return "", nil, &sandbox.Error{Code: sandbox.Unsupported, Op: "shell.Start",
		Err: errors.New("there is neither a bash nor a sh in the sandbox: install one of them, or start programs as processes")}
}

// appendPlain appends s as a word in single quotes, which may have many lines. NUL bytes are dropped.
func appendPlain(dst []byte, s string) []byte {
	dst = append(dst, '\'')
	for s != "" {
		i := strings.IndexAny(s, "'\x00")
		if i < 0 {
			dst = append(dst, s...)
			break
		}
		dst = append(dst, s[:i]...)
		if s[i] == '\'' {
			dst = append(dst, `'\''`...)
		}
		s = s[i+1:]
	}
	return append(dst, '\'')
}
