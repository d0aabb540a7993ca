package shell

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// interrupt does what ^C does, whatever the terminal's modes are.
func (b *bash) interrupt() {
	if group := b.foreground(); b.executing() && group > 0 {
		_ = unix.Kill(-group, unix.SIGINT)
		_ = unix.Kill(b.pid, unix.SIGCONT) // it may have stopped itself
		b.again()
	}
}

// signal sends a signal to what runs in the foreground.
func (b *bash) signal(s unix.Signal) {
	if group := b.foreground(); b.executing() && group > 0 {
		_ = unix.Kill(-group, s)
	}
}

// executing says whether bash executes a command, as opposed to reading one or waiting for one, and waits until one of
// these is so. An interrupt may be sent only then, see send.
//
// While a command is executed, standard input is the terminal (or what the command has made it), otherwise the socket.
// There is no event for that change, hence the pauses; but to be there before bash has read a command, one must be very
// quick, or the command very long.
func (b *bash) executing() bool {
	stdin := "/proc/" + strconv.Itoa(b.pid) + "/fd/0"
	for until := time.Now().Add(readingLimit); time.Now().Before(until); time.Sleep(time.Millisecond) {
		b.mu.Lock()
		waiting := b.waiting && !b.dead && !b.leave
		b.mu.Unlock()
		if !waiting {
			return false
		}
		if target, err := os.Readlink(stdin); err != nil || !strings.HasPrefix(target, "socket:") {
			return true
		}
		b.poll() // what is not read yet may be the report
	}
	return false
}

const readingLimit = 10 * time.Second // 5 MB take bash one or two

// foreground is the process group that the terminal's signals go to; 0 if there is none.
func (b *bash) foreground() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0
	case b.piped: // a shell without job control has its programs in its own group
		return b.pid
	}
	if group, err := unix.IoctlGetInt(b.tty, unix.TIOCGPGRP); err == nil {
		return group
	}
	return 0
}
