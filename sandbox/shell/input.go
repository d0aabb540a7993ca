package shell

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// maxUnread is how much may be typed that the program has not read, beyond what the terminal itself holds.
const maxUnread = 1 << 20 // bytes: a pasted file, not a flood

var errUnread = &sandbox.Error{Code: sandbox.Exhausted, Op: "shell", Err: errors.New("the program does not read what is typed")}

// press types p. It does not wait for a program that does not read: what the terminal does not take at once is written
// by a goroutine, in order.
func (b *bash) press(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unread) > 0 || b.typing {
		if len(b.unread)+len(p) > maxUnread {
			return errUnread
		}
		b.unread = append(b.unread, p...)
		return nil
	}
	n := b.writeNow(p)
	if n < len(p) {
		if len(p)-n > maxUnread {
			return errUnread
		}
		b.unread = append(b.unread, p[n:]...)
		if b.typing = !b.closing; b.typing {
			b.wg.Go(b.typeOn)
		}
	}
	return nil
}

// writeNow writes what the terminal takes without waiting and gives its size.
func (b *bash) writeNow(p []byte) (n int) {
	_ = b.conn.Control(func(fd uintptr) {
		for n < len(p) {
			w, err := unix.Write(int(fd), p[n:])
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return
			}
			n += w
		}
	})
	return n
}

// typeOn writes what press could not.
func (b *bash) typeOn() {
	for {
		b.mu.Lock()
		p := b.unread
		b.unread = nil
		b.typing = len(p) > 0
		b.mu.Unlock()
		if len(p) == 0 {
			return
		}
		if _, err := b.tty.Write(p); err != nil {
			b.mu.Lock()
			b.unread, b.typing = nil, false
			b.mu.Unlock()
			return
		}
	}
}

// settle readies the terminal for the next command. What has been typed and not read was meant for a program that has
// ended, and is dropped. A program that has died without taking back its raw mode would leave a terminal where ^C is a
// letter; at a prompt, a terminal never is like that.
func (b *bash) settle(typed bool) {
	if typed {
		b.mu.Lock()
		b.unread = nil
		typing := b.typing
		b.mu.Unlock()
		if typing {
			_ = b.tty.SetWriteDeadline(time.Unix(1, 0)) // ends typeOn
			_ = b.tty.SetWriteDeadline(time.Time{})
		}
	}
	b.flush = typed
	_ = b.conn.Control(b.settled)
}

func (b *bash) settleFD(fd uintptr) {
	t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		return
	}
	raw := t.Lflag&(unix.ICANON|unix.ISIG) != unix.ICANON|unix.ISIG
	if raw {
		t = &b.modes
	}
	if b.flush || raw {
		// With a flush. On the master side, this means the program's side of the terminal.
		_ = unix.IoctlSetTermios(int(fd), unix.TCSETSF, t)
	}
	if b.flush {
		// The kernel may not have got round to what was typed yet, and there may be a ^C in it, which must not hit the
		// next command. A poll of the program's side with nothing to read waits for that (tty_buffer_flush_work).
		const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
		if slave, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, flags); errno == 0 {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(slave), Events: unix.POLLIN}}, 0)
			_ = unix.Close(int(slave))
			_ = unix.IoctlSetTermios(int(fd), unix.TCSETSF, t)
		}
	}
}

// reply sends the terminal's answer to a query, if a program is there that reads keys one by one. Others do not wait for
// an answer, and would find it in their input (cat of a file with escape sequences).
func (b *bash) reply(answer []byte) {
	_ = b.conn.Control(func(fd uintptr) {
		if t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil && t.Lflag&unix.ICANON == 0 {
			_, _ = unix.Write(int(fd), answer)
		}
	})
}
