package shell

import "crypto/rand"

// setup is what every shell runs first, after the user's ~/.bashrc. The function __sandtree writes a report: to the
// socket, which is standard output there. It leaves $? as the command left it, and takes back prompts that a command
// (a virtual environment's activate script, say) has set, for they would be printed between commands.
const setup = `
__sandtree() {
  \builtin printf '\0%s\0%s\0%s\0%s\0%s\0%s\0%s\0' "$1" "$2" "${!-}" "${PWD-}" "${PATH-}" "$-" "${PS1:+${PS1@P}}" || exit "$2"
  PS0= PS1= PS2=
  \builtin unset -v PROMPT_COMMAND
  \builtin return "$2"
}
readonly -f __sandtree
set +o history +o histexpand
shopt -s expand_aliases
unset -v HISTFILE
alias git='git --no-pager'
[[ -t 255 ]] || exec 255<>/dev/tty
exec 10<&255 11<&255 12<&255 13<&255 14<&255 15<&255 16<&255 17<&255 18<&255 19<&255
`

// startup is what an interactive shell that is no login shell reads.
const startup = `
if [ -r /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
`

// send has bash run command, and report when it is done. Nothing may be running.
//
// Two lines go out. The first evaluates the command with the terminal as standard input (255 is bash's own descriptor
// for it, closed in programs). The second makes the report: a line of its own, because an interrupt ends the whole
// line that it hits, and because bash prints news of jobs between lines, which belong to the command before.
func (b *bash) send(command string) error {
	var secret [16]byte
	newSecret(&secret)
	b.line = append(b.line[:0], ` \builtin eval -- `...)
	b.line = appendQuoted(b.line, command)
	b.line = append(b.line, " <&255\n"...)
	b.line = appendReport(b.line, secret[:])
	return b.post(secret[:])
}

// post sends b.line, after which a report with secret is awaited.
func (b *bash) post(secret []byte) error {
	b.mu.Lock()
	b.want = append(b.want[:0], secret...)
	b.done, b.agains = false, 0
	b.mu.Unlock()
	if len(b.line) <= directWrite {
		_, err := b.socket.Write(b.line)
		return err
	}
	line := b.line
	b.line = nil
	b.wg.Go(func() { _, _ = b.socket.Write(line) }) // a failure means that bash is gone, which is seen elsewhere
	return nil
}

// directWrite is below what a socket takes at once (208 KiB by default), so that writing it does not wait.
const directWrite = 64 << 10

// again asks for the report once more, in case an interrupt hits bash just when it makes the one that was asked for:
// an interrupt ends one line at most, and there is now one more line than interrupts.
func (b *bash) again() {
	b.mu.Lock()
	var line []byte
	if len(b.want) > 0 && b.agains < maxAgain {
		b.agains++
		line = appendReport(nil, b.want)
	}
	b.mu.Unlock()
	if line != nil {
		_, _ = b.socket.Write(line)
	}
}

const maxAgain = 500 // what the socket takes without waiting, in lines

// appendReport appends the line that makes bash report. Its own output, its errors and its trace (set -x) go to the
// socket; && keeps set -e and a trap on ERR from seeing the status that it hands on. The blank in front is what gets
// lost should an interrupt come while bash waits for the line.
func appendReport(dst, secret []byte) []byte {
	dst = append(dst, "\n  { __sandtree "...)
	dst = append(dst, secret...)
	return append(dst, ` "$?" && \builtin :; } >&0 2>&0`+"\n"...)
}

// newSecret makes a fresh word that no one else knows.
func newSecret(s *[16]byte) {
	var b [8]byte
	rand.Read(b[:])
	for i, c := range b {
		s[2*i], s[2*i+1] = hex[c>>4], hex[c&15]
	}
}

// begin has bash read rc, a script, with the terminal as standard input, and then what every shell needs.
func (b *bash) begin(rc string) error {
	var secret [16]byte
	newSecret(&secret)
	b.line = b.line[:0]
	if rc != "" {
		b.line = append(b.line, ` eval `...)
		b.line = appendQuoted(b.line, rc)
		b.line = append(b.line, " <&255\n"...)
	}
	b.line = append(b.line, ` \builtin eval `...)
	b.line = appendQuoted(b.line, setup)
	b.line = append(b.line, '\n')
	b.line = appendReport(b.line, secret[:])
	return b.post(secret[:])
}
