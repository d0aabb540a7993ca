package shell

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// A view is what has come out of a session's terminal: the screen that it makes, and the raw bytes for whoever listens.
type view struct {
	mu      sync.Mutex
	screen  display
	mute    bool // what comes is not the command's: a shell is starting
	changed time.Time
	buf     []byte

	out     sandbox.Output // of the action that runs; nil if none
	offset  int64          // of out
	backlog []byte         // raw bytes that came while nobody listened, the last of them
	missed  int64          // how many came before those in backlog

	attended bool // somebody runs a command, and reads the terminal himself
}

const (
	readSize    = 16 << 10 // bytes; a terminal gives at most 4 KiB at a time on Linux, more on others
	readPiped   = 64 << 10
	readsAtOnce = 32       // then who reads looks at the time: output may come faster than it can be read
	maxBacklog  = 64 << 10 // bytes kept for the next listener
)

// readLocked takes one piece off the terminal, and says whether there may be more.
func (v *view) readLocked(b *bash) (more bool, err error) {
	read := unix.Read // which may wait: see drainLocked
	if b.piped {
		read = readNow
	}
	n, err := read(b.tty, v.buf)
	for err == unix.EINTR {
		n, err = read(b.tty, v.buf)
	}
	if err == nil && n == 0 {
		err = unix.EIO
	}
	if err == nil && !v.mute {
		v.takeLocked(v.buf[:n])
	}
	return err == nil && (!b.piped || n == len(v.buf)), err // a pipe gives all that it has, if there is room
}

// read takes some of what is there off b's terminal.
func (v *view) read(b *bash) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for range readsAtOnce {
		more, err := v.readLocked(b)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			b.hangUp()
		}
		if !more {
			return
		}
	}
}

// drainLocked reads all that has been written to the terminal so far. It is exact: a read of a terminal that finds
// nothing waits for bytes that the kernel has accepted but not delivered yet (tty_buffer_flush_work), and only then
// says EAGAIN.
func (v *view) drainLocked(b *bash) {
	for more := true; more; {
		more, _ = v.readLocked(b)
	}
}

func (v *view) takeLocked(p []byte) {
	v.screen.feed(p)
	if v.screen.renewed() {
		v.changed = time.Now()
	}
	if v.out != nil {
		v.out(v.offset, p)
		v.offset += int64(len(p))
		return
	}
	v.backlog = append(v.backlog, p...)
	if len(v.backlog) > 2*maxBacklog {
		v.trimLocked()
	}
}

// trimLocked drops all but the end of the backlog.
func (v *view) trimLocked() {
	if over := len(v.backlog) - maxBacklog; over > 0 {
		v.missed += int64(over)
		v.backlog = append(v.backlog[:0], v.backlog[over:]...)
	}
}

// toldLocked says that an answer has brought all that came.
func (v *view) toldLocked() { v.backlog, v.missed = v.backlog[:0], 0 }

// attend says that the caller reads the terminal from now on. out, if not nil, is given what comes, and what came since
// the last answer.
func (v *view) attend(out sandbox.Output) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attended = true
	if out == nil {
		return
	}
	v.trimLocked()
	v.out, v.offset = out, v.missed
	if len(v.backlog) > 0 {
		out(v.offset, v.backlog)
		v.offset += int64(len(v.backlog))
	}
	v.toldLocked()
}

// leave ends what attend began: out is not called again, and the pump of b, if it is not nil, reads the terminal after so long.
func (v *view) leave(b *bash, after time.Duration) {
	v.mu.Lock()
	v.attended, v.out = false, nil
	v.mu.Unlock()
	if b != nil && b.pause != nil {
		b.pause.Reset(after)
	}
}

// lastChange is when the picture last changed.
func (v *view) lastChange() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// doze is how long the terminal is left alone after a command: those that come one after the other need neither wake the
// pump nor keep it from waking. With others about, the next one comes later: so it is that much for each of them, up to a
// limit that a program which prints in the background hardly feels.
const (
	doze    = 5 * time.Millisecond
	maxDoze = 100 * time.Millisecond
)

// doze is how long the terminal is left alone now.
func (s *Session) doze() time.Duration {
	if s.config.Crowd == nil {
		return doze
	}
	return min(doze*time.Duration(1+s.config.Crowd()), maxDoze)
}

// pump reads b's terminal while no command runs, so that what runs in the background is not held up, until b is closed.
func (v *view) pump(b *bash) {
	for b.idle.wait(-1) == nil {
		v.mu.Lock()
		attended := v.attended
		if attended || b.isHungUp() { // what comes is somebody else's, and nothing comes: watch no more until leave
			b.idle.forget(b.tty)
			v.mu.Unlock()
			continue
		}
		v.mu.Unlock()
		v.read(b) // if somebody begins just now, both read, one piece each at a time
	}
}

// resume has the pump watch b's terminal, unless somebody reads it.
func (v *view) resume(b *bash) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.attended && !b.isHungUp() {
		_ = b.idle.add(b.tty, true) // it may be there already
	}
}
