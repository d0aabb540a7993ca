package shell

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// interrupt does what ^C does, whatever the terminal's modes are. It gives the process group that the signal went to, 0
// if there was none.
func (b *bash) interrupt() (group int) {
	if group = b.foreground(); !b.executing() || group <= 0 {
		return 0
	}
	_ = unix.Kill(-group, unix.SIGINT)
	_ = unix.Kill(b.pid, unix.SIGCONT) // it may have stopped itself
	b.again()
	return group
}

// persist sends the interrupt again, as a person would press the key again, while the command goes on though the group
// that it went to has ended. A group that ends just then takes the signal with it, and bash, which goes on to the next of
// many small programs, never hears of it; or bash hears of it while it waits for a program that does not, and so takes it
// for handled.
func (b *bash) persist(group int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if group <= 0 || b.closed || b.persisting == b.number || !b.waiting {
		return
	}
	number := b.number
	b.persisting = number
	b.wg.Go(func() {
		for range persistence {
			timer := time.NewTimer(persistAfter)
			select {
			case <-timer.C:
			case <-b.gone:
				timer.Stop()
			}
			b.mu.Lock()
			over := !b.waiting || b.dead || b.leave || b.number != number
			b.mu.Unlock()
			if over || group != b.pid && unix.Kill(-group, 0) == nil { // who got it lives, and does with it what he likes
				break
			}
			if group = b.interrupt(); group == 0 {
				break
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.persisting == number {
			b.persisting = 0
		}
	})
}

const (
	persistAfter = 30 * time.Millisecond // by then what was interrupted has ended
	persistence  = 20
)

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
	if group, err := unix.IoctlGetInt(b.tty, unix.TIOCGPGRP); err == nil && group > 0 {
		return group
	}
	return b.pid // the one that was has ended just now, and bash has not taken its place yet
}
