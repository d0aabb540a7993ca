package shell

import (
	"strconv"
	"strings"
	"time"
)

// terminalFD is the descriptor in bash that stands for the terminal. It is a copy of bash's own (255), which is
// close-on-exec, and so is the copy. It is low, because bash needs descriptors above it for what it sets aside, and
// commands lower their limit (ulimit -n 64); and odd, because scripts like 9, 10, 42, 99 and 200.
const terminalFD = "57"

const (
	// prelude makes terminalFD. A shell with few descriptors has its own below 255.
	prelude = `if [[ -t 255 ]]; then exec ` + terminalFD + `<&255; else exec ` + terminalFD + `<>/dev/tty; fi`
	// startup is what an interactive shell that is no login shell reads.
	startup = `
if [ -r /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
`
	// setup is what every shell runs then. tell prints a report, see report.go; tidy does so too, but with the prompt as
	// it is printed, and takes back what would be printed or run between commands.
	setup = `
__sandtree_status() { \builtin return "$1"; }
__sandtree_tell() { \builtin echo "$1` + told + `${PS1-}` + toldLast + `$1" || exit; }
__sandtree_brief() { \builtin echo "$1` + told + `${PS1-}` + toldDir + `$1" || exit; }
__sandtree_tidy() {
  \builtin echo "$1` + told + `${PS1@P}` + toldLast + `$1" || exit
  { PS0= PS1= PS2=; \builtin unset -v PROMPT_COMMAND; } 2>/dev/null
}
__sandtree_mend() { [[ -e /dev/fd/1 ]] || exec >&` + terminalFD + `; [[ -e /dev/fd/2 ]] || exec 2>&` + terminalFD + `; }
readonly -f __sandtree_brief __sandtree_mend __sandtree_status __sandtree_tell __sandtree_tidy
__sandtree_tidy - >/dev/null
set +o history +o histexpand
shopt -s expand_aliases
history -c
unset -v HISTFILE TMOUT
alias git='git --no-pager'
`
)

// begin has bash limit itself to a number of processes (of its user; 0: leave it), read rc, a script, with the terminal
// as standard input, and then what every shell needs.
func (b *bash) begin(processes int, rc string) error {
	b.line = b.line[:0]
	b.catchUp()
	if processes > 0 && !b.piped {
		b.line = append(b.line, "ulimit -u "...)
		b.line = append(strconv.AppendInt(b.line, int64(processes), 10), '\n')
	}
	b.line = append(append(b.line, b.dialect.prelude...), '\n')
	if rc != "" {
		b.line = append(b.line, `eval `...)
		b.line = b.dialect.quote(b.line, rc)
		b.line = append(append(append(b.line, " <&"...), b.dialect.fd...), '\n')
	}
	b.line = append(b.line, b.dialect.eval...)
	b.line = b.dialect.quote(b.line, b.dialect.setup)
	b.line = append(b.line, '\n')
	return b.post("tell")
}

// send has bash run command, and report when it is done. Nothing may be running. status is what $? is to be.
//
// Two lines go out. The first evaluates the command with the terminal as standard input. The second makes the report: a
// line of its own, because an interrupt ends the whole line that it hits, and because bash prints news of jobs between
// lines, which belong to the command before.
//
// An interrupt that comes while bash reads a line makes it forget the beginning, and take the rest for a line. Of the
// first line, the rest could be anything; see executing for how that is kept from happening. All that can be left of the
// others is a word that is no command. The blank in front is what gets lost if an interrupt comes just before a line.
//
// Unless bare, what is evaluated ends with the assignment of $? to a variable: eval is itself a command, and if it failed
// with the command, set -e and a trap on ERR would strike where they must not (false && true). The assignment stands
// after an empty line, so that a backslash at the end of the command does not reach it. A command that does not end (a
// here-document without its end) would swallow it: that is bare.
func (b *bash) send(command string, status int, bare bool) error {
	earlier := b.foreground()
	b.mu.Lock()
	suspect := b.last.of != b.number && b.number > 0
	mend := b.mayMend
	b.mayMend = mend || strings.Contains(command, "exec") || sources(command)
	b.number++
	b.earlier = earlier
	b.mu.Unlock()
	b.line = b.line[:0]
	if suspect && !b.piped { // the last command was cut short, perhaps because an earlier one has closed our descriptor
		b.line = append(b.line, "[ -t "+terminalFD+" ] || exec "+terminalFD+"<>/dev/tty\n"...)
	}
	if mend && !b.piped { // else nothing would be seen of any command to come, and nobody would know why
		b.line = append(b.line, " __sandtree_mend\n"...)
	}
	b.line = append(b.line, ' ')
	if status != 0 {
		b.line = append(b.line, `{ __sandtree_status `...)
		b.line = strconv.AppendInt(b.line, int64(status), 10)
		b.line = append(b.line, `; } 2>&0 || `...) // || also keeps set -e from seeing the status; 2>&0 hides its trace
	}
	b.line = append(b.line, b.dialect.eval...)
	b.line = b.dialect.quote(b.line, command)
	if !bare {
		b.line = append(b.line, b.dialect.marked...)
		b.line = strconv.AppendInt(b.line, int64(b.number), 10)
		b.line = append(b.line, '\'')
	}
	b.line = append(append(append(b.line, " <&"...), b.dialect.fd...), '\n')
	return b.post(b.howToTell(command))
}

// howToTell is brief for a command on pipes whose text does not look as if it changed PATH, if that has just been told. One
// that changes it all the same, by a function say, is found out that much later.
func (b *bash) howToTell(command string) string {
	if b.piped && time.Since(b.toldPath) < fresh && !strings.Contains(command, "PATH") && !strings.Contains(command, "activate") && !sources(command) {
		return "brief"
	}
	b.toldPath = time.Now()
	return "tell"
}

// sources says whether a command may have the shell itself run a file.
func sources(command string) bool {
	return strings.Contains(command, "source") || strings.Contains(command, ". ")
}

// tidy has bash report its prompt as it is printed, and then forget all prompts, which a command has set.
func (b *bash) tidy() error {
	b.expect()
	b.line = b.dialect.appendTell(b.line[:0], "tidy", b.secret[:])
	return b.lines.write(b.line)
}

// expect makes the secret of a report that is awaited from now on.
func (b *bash) expect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	newSecret(&b.secret)
	b.reader.reset()
	b.waiting, b.done, b.agains = true, false, 0
}

// post sends b.line and the line that makes the report.
func (b *bash) post(how string) error {
	b.expect()
	b.line = b.dialect.appendTell(b.line, how, b.secret[:])
	err := b.lines.write(b.line)
	if cap(b.line) > maxKept {
		b.line = nil
	}
	return err
}

// again asks for the report once more, in case an interrupt hits bash just when it makes the one that was asked for:
// an interrupt ends one line at most, and there is now one more line than interrupts.
func (b *bash) again() {
	b.mu.Lock()
	var line []byte
	if b.waiting && b.agains < maxAgain {
		b.agains++
		line = b.dialect.appendTell(nil, "tell", b.secret[:])
	}
	b.mu.Unlock()
	if line != nil {
		_ = b.lines.write(line)
	}
}

const maxAgain = 500 // times; who needs more is not helped by it

// appendTell appends the line that makes bash report: a simple command, for after a syntax error in eval bash does not
// know a reserved word at the beginning of a line.
func (d *dialect) appendTell(dst []byte, how string, secret []byte) []byte {
	dst = append(dst, " __sandtree_"...)
	dst = append(append(dst, how...), ' ')
	dst = append(dst, secret...)
	return append(dst, d.tell...)
}
