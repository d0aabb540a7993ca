package shell

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Whoever runs a command waits for a report, output on the terminal, or an event that nudge raises. The
// terminal is watched only when the report does not come at once: what comes on it would wake us, just to find that the
// command has not ended, and then the report would wake us again.

// listen waits until a report comes or, if that is wanted, something on the terminal, or nudge is called (or was,
// since the last time), or for so long, or for no reason. It takes what comes of reports, and says whether there is
// something on the terminal. Only one may listen at a time.
func (b *bash) listen(atMost time.Duration, terminal bool) (output bool) {
	b.mu.Lock()
	terminal = terminal && !b.hungUp
	deaf := b.ended && !b.deaf
	b.deaf = b.ended
	b.mu.Unlock()
	if terminal != b.watching {
		b.watching = terminal
		if terminal {
			_ = b.here.add(b.tty, true)
		} else {
			b.here.forget(b.tty)
		}
	}
	if deaf {
		b.here.forget(b.reports)
	}
	if b.here.wait(atMost) != nil {
		return false
	}
	if b.here.ready(b.nudges) {
		lower(b.nudges)
	}
	if b.here.ready(b.reports) {
		b.receive()
	}
	return b.here.ready(b.tty)
}

// glance waits for a report or a nudge without letting any other goroutine run on this thread meanwhile. It is for very
// short times.
func (b *bash) glance(atMost time.Duration) {
	fds := [...]unix.PollFd{{Fd: int32(b.reports), Events: unix.POLLIN}, {Fd: int32(b.nudges), Events: unix.POLLIN}}
	limit := unix.NsecToTimespec(int64(atMost))
	// Raw, so that the runtime does not hear of it: else it gives what else could run here to another thread, which has to
	// be woken and finds nothing.
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 || n == 0 {
		return
	}
	if fds[1].Revents != 0 {
		lower(b.nudges)
	}
	if fds[0].Revents != 0 {
		b.receive()
	}
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

// poll takes what can be read of reports, for one who does not listen. Who does may miss that, and is nudged.
func (b *bash) poll() {
	if b.receive() {
		b.nudge()
	}
}

// receive takes what can be read of reports, and says whether the report is there now.
func (b *bash) receive() (came bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.ended && !b.closed {
		n, err := readNow(b.reports, b.buf[:])
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

// mustStay says whether bash must stay bash for now: whether the end of its reports counts as its death.
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
