package shell

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// A view is what has come out of a session's terminal: the screen that it makes, and the raw bytes for whoever listens.
type view struct {
	mu      sync.Mutex
	screen  *screen
	mute    bool // what comes is not the command's: a shell is starting
	changed time.Time
	out     sandbox.Output // of the action that runs; nil if none
	offset  int64          // of out
	backlog []byte         // raw bytes that came while nobody listened, the last of them
	missed  int64          // how many came before those in backlog
	buf     []byte
	readAll func(fd uintptr) // readAllLocked, as a function made once
}

const (
	readSize   = 16 << 10 // bytes; a terminal gives at most 4 KiB at a time on Linux, more on others
	maxBacklog = 64 << 10 // bytes kept for the next listener
)

// pump reads b's terminal until it is gone or closed.
func (v *view) pump(b *bash) {
	_ = b.conn.Read(func(fd uintptr) (done bool) {
		for {
			v.mu.Lock()
			err := v.readLocked(int(fd))
			v.mu.Unlock()
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false
			case err != nil:
				return true
			}
		}
	})
}

// readLocked takes one piece off the terminal.
func (v *view) readLocked(fd int) error {
	n, err := unix.Read(fd, v.buf)
	for err == unix.EINTR {
		n, err = unix.Read(fd, v.buf)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return os.ErrClosed
	}
	if !v.mute {
		v.takeLocked(v.buf[:n])
	}
	return nil
}

func (v *view) takeLocked(p []byte) {
	v.screen.feed(p)
	if v.screen.changed {
		v.screen.changed = false
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

// drainLocked reads all that has been written to the terminal so far. It is exact: a read of a terminal that finds
// nothing waits for bytes that the kernel has accepted but not delivered yet (tty_buffer_flush_work), and only then
// says EAGAIN.
func (v *view) drainLocked(b *bash) { _ = b.conn.Control(v.readAll) }

func (v *view) readAllLocked(fd uintptr) {
	for v.readLocked(int(fd)) == nil {
	}
}

// listen gives what comes from now on, and what came since the last answer, to out.
func (v *view) listen(out sandbox.Output) {
	if out == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trimLocked()
	v.out, v.offset = out, v.missed
	if len(v.backlog) > 0 {
		out(v.offset, v.backlog)
		v.offset += int64(len(v.backlog))
	}
	v.toldLocked()
}

// unlisten ends what listen began: out is not called again.
func (v *view) unlisten() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out = nil
}

// lastChange is when the picture last changed.
func (v *view) lastChange() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}
