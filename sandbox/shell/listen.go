package shell

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Whoever waits for a report reads the socket itself, so that a report wakes one goroutine and no other: between two
// goroutines, handing over costs as much as all the rest of a round trip.

// mustStay says whether bash must stay bash for now: whether the end of its socket counts as its death.
func (b *bash) mustStay(strict bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strict = strict
}

// arm sees to it that block returns at the time given, or before. Flags that nudge tells of are to be looked at between
// arm and block.
func (b *bash) arm(at time.Time) {
	if b.alarm.IsZero() || at.Before(b.alarm) {
		b.alarm = at
		_ = b.socket.SetReadDeadline(at)
	}
}

// block waits until there is a report, or bash is gone, or it is nudged, or the time of arm has come, or for no reason.
func (b *bash) block() {
	if err := b.reports.Read(b.onReport); errors.Is(err, os.ErrDeadlineExceeded) {
		b.alarm = time.Time{}
	}
}

// nudge makes block return, now or when it is called next.
func (b *bash) nudge() { _ = b.socket.SetReadDeadline(time.Unix(1, 0)) }

// readable takes what can be read from the socket, and says whether that ends a wait.
func (b *bash) readable(fd uintptr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readLocked(int(fd))
	return b.done || b.dead || b.strict && b.ended
}

// poll takes what can be read from the socket.
func (b *bash) poll() {
	_ = b.reports.Control(func(fd uintptr) { b.readable(fd) })
}

func (b *bash) readLocked(fd int) {
	for {
		n, err := unix.Read(fd, b.buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case n > 0:
			b.takeLocked(b.buf[:n])
			if n == len(b.buf) {
				continue
			}
		case n == 0 && err == nil:
			b.ended = true
		}
		return // also when bash has closed its end: it may have become another program (exec)
	}
}

// takeLocked looks for the report awaited in p.
func (b *bash) takeLocked(p []byte) {
	if b.waiting && b.reader.feed(p, b.secret[:]) {
		b.last = b.reader.report
		if b.last.of == b.number {
			b.last.code = b.last.marked
		}
		b.waiting, b.done = false, true
	}
}

// news says whether the report awaited has been read, and whether bash is dead.
func (b *bash) news() (r report, done, dead bool, code int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.done, b.dead || b.strict && b.ended, b.code
}
