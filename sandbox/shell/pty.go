package shell

import (
	"fmt"
	"os"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal that belongs to the shell's user. The master side is non-blocking and watched by the
// runtime's poller.
func openTerminal(user *syscall.Credential, cols, rows uint16) (master, slave *os.File, err error) {
	m, slave, err := pty.Open()
	if err != nil {
		return nil, nil, startError(fmt.Errorf("open a terminal: %w", err))
	}
	defer m.Close()
	fail := func(what string, err error) (*os.File, *os.File, error) {
		slave.Close()
		return nil, nil, startError(fmt.Errorf("%s: %w", what, err))
	}
	if err := pty.Setsize(slave, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		return fail("set the terminal's size", err)
	}
	if user != nil && int(user.Uid) != os.Getuid() {
		if err := slave.Chown(int(user.Uid), -1); err != nil {
			return fail("give the terminal to its user", err)
		}
	}
	// What is non-blocking when it becomes an *os.File is polled, hence the copy.
	fd, err := unix.FcntlInt(m.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fail("copy the terminal's descriptor", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fail("make the terminal non-blocking", err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), slave, nil
}

// inspectTerminal gives raw access to a terminal, and its modes, to which it adds that it speaks UTF-8.
func inspectTerminal(master *os.File) (conn syscall.RawConn, modes *unix.Termios, err error) {
	if conn, err = master.SyscallConn(); err != nil {
		return nil, nil, err
	}
	ctlErr := conn.Control(func(fd uintptr) {
		if modes, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			modes.Iflag |= unix.IUTF8 // backspace takes away a character, not a byte
			err = unix.IoctlSetTermios(int(fd), unix.TCSETS, modes)
		}
	})
	if err == nil {
		err = ctlErr
	}
	return conn, modes, err
}
