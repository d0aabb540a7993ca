package shell

import "golang.org/x/sys/unix"

// press types p. It does not wait for a program that does not read. Code: Exhausted.
func (b *bash) press(p []byte) error { return b.keys.write(p) }

// settle readies the terminal for the next command. What has been typed and not read was meant for a program that has
// ended, and is dropped. A program that has died without taking back its raw mode would leave a terminal where ^C is a
// letter; at a prompt, a terminal never is like that.
func (b *bash) settle(typed bool) {
	if b.piped {
		if typed {
			b.settleInput()
		}
		return
	}
	if typed {
		b.keys.drop()
	}
	t, err := unix.IoctlGetTermios(b.tty, unix.TCGETS)
	if err != nil {
		return
	}
	raw := t.Lflag&(unix.ICANON|unix.ISIG) != unix.ICANON|unix.ISIG
	if raw {
		t = &b.modes
	}
	if typed || raw {
		// With a flush. On the master side, this means the program's side of the terminal.
		_ = unix.IoctlSetTermios(b.tty, unix.TCSETSF, t)
	}
	if !typed {
		return
	}
	// The kernel may not have got round to what was typed yet, and there may be a ^C in it, which must not hit the next
	// command. A poll of the program's side with nothing to read waits for that (tty_buffer_flush_work).
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	if slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(b.tty), unix.TIOCGPTPEER, flags); errno == 0 {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(slave), Events: unix.POLLIN}}, 0)
		_ = unix.Close(int(slave))
		_ = unix.IoctlSetTermios(b.tty, unix.TCSETSF, t)
	}
}

// reply sends the terminal's answer to a query, if a program is there that reads keys one by one. Others do not wait for
// an answer, and would find it in their input (cat of a file with escape sequences).
func (b *bash) reply(answer []byte) {
	if t, err := unix.IoctlGetTermios(b.tty, unix.TCGETS); err == nil && t.Lflag&unix.ICANON == 0 {
		_ = b.keys.write(answer)
	}
}
