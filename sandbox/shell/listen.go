package shell

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Whoever runs a command waits in the kernel, for a report on the socket, output on the terminal, or an event that nudge
// raises. The runtime's own way of waiting costs as much as all the rest of a round trip: it wakes a thread that wakes
// another, and it looks for other work before it sleeps, which keeps the processor that bash was just woken on (the
// kernel expects the writer to a socket to sleep). The price is a thread for as long as a command runs.

// listen waits until something comes on the socket or, if that is wanted, on the terminal, or nudge is called (or was,
// since the last time), or for so long, or for no reason. It takes what comes on the socket, and says whether there is
// something on the terminal. Only one may listen at a time.
func (b *bash) listen(atMost time.Duration, terminal bool) (output bool) {
	b.limit = unix.NsecToTimespec(int64(max(atMost, 0)))
	b.watched = [3]unix.PollFd{
		{Fd: int32(b.socket), Events: unix.POLLIN}, {Fd: int32(b.nudges), Events: unix.POLLIN}, {Fd: int32(b.tty), Events: unix.POLLIN},
	}
	b.mu.Lock()
	if b.ended { // a negative descriptor is not watched
		b.watched[0].Fd = -1
	}
	if b.hungUp || !terminal {
		b.watched[2].Fd = -1
	}
	b.mu.Unlock()
	if n, _ := unix.Ppoll(b.watched[:], &b.limit, nil); n <= 0 {
		return false
	}
	if b.watched[1].Revents != 0 {
		lower(b.nudges)
	}
	if b.watched[0].Revents != 0 {
		b.receive()
	}
	return b.watched[2].Revents != 0
}

// nudge makes listen return.
func (b *bash) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		raise(b.nudges)
	}
}

// abandon has whoever waits look whether to go on.
func (b *bash) abandon() {
	b.mu.Lock()
	b.leave = true
	b.mu.Unlock()
	b.nudge()
}

// poll takes what can be read from the socket, for one who does not listen. Who does may miss that, and is nudged.
func (b *bash) poll() {
	if b.receive() {
		b.nudge()
	}
}

// receive takes what can be read from the socket, and says whether the report is there now.
func (b *bash) receive() (came bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.ended && !b.closed {
		n, err := unix.Read(b.socket, b.buf[:])
		switch {
		case n > 0:
			came = b.takeLocked(b.buf[:n]) || came
			if n < len(b.buf) {
				return came
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return came
		default:
			b.ended = true // bash has gone, or has become another program (exec)
		}
	}
	return came
}

// takeLocked looks for the report awaited in p.
func (b *bash) takeLocked(p []byte) (came bool) {
	if !b.waiting {
		return false
	}
	if !b.reader.feed(p, b.secret[:]) {
		if len(b.reader.part) > maxReport {
			b.reader.reset()
			b.kill() // it will not come to an end of that, and nothing is known of it without
		}
		return false
	}
	b.last = b.reader.report
	if b.last.of == b.number {
		b.last.code = b.last.marked
	}
	if !filepath.IsAbs(b.last.dir) { // the command has spoilt PWD; the kernel knows the directory, but not the links on the way
		b.last.dir, _ = os.Readlink("/proc/" + strconv.Itoa(b.pid) + "/cwd")
	}
	b.waiting, b.done = false, true
	return true
}

// hangUp notes that nobody holds the terminal any more.
func (b *bash) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hungUp = true
}

func (b *bash) isHungUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hungUp
}

// mustStay says whether bash must stay bash for now: whether the end of its socket counts as its death.
func (b *bash) mustStay(strict bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strict = strict
}

// news says whether the report awaited has been read, and whether bash is dead.
func (b *bash) news() (r report, done, dead bool, code int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.done, b.dead || b.strict && b.ended, b.code
}
