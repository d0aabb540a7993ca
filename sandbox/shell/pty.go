package shell

import (
	"fmt"
	"os"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal that belongs to the shell's user. master is a non-blocking descriptor. modes are those
// that it has; to the usual ones it adds that it speaks UTF-8.
func openTerminal(user *syscall.Credential, cols, rows uint16) (master int, slave *os.File, modes *unix.Termios, err error) {
	m, slave, err := pty.Open()
	if err != nil {
		return -1, nil, nil, startError(fmt.Errorf("open a terminal: %w", err))
	}
	defer m.Close()
	master = -1
	err = func() (err error) {
		if err := pty.Setsize(slave, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
			return fmt.Errorf("set the terminal's size: %w", err)
		}
		if user != nil && int(user.Uid) != os.Getuid() {
			if err := slave.Chown(int(user.Uid), -1); err != nil {
				return fmt.Errorf("give the terminal to its user: %w", err)
			}
		}
		if master, err = unix.FcntlInt(m.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return fmt.Errorf("copy the terminal's descriptor: %w", err)
		}
		if modes, err = unix.IoctlGetTermios(master, unix.TCGETS); err != nil {
			return fmt.Errorf("get the terminal's modes: %w", err)
		}
		modes.Iflag |= unix.IUTF8 // backspace takes away a character, not a byte
		if err := unix.IoctlSetTermios(master, unix.TCSETS, modes); err != nil {
			return fmt.Errorf("set the terminal's modes: %w", err)
		}
		return unix.SetNonblock(master, true)
	}()
	if err != nil {
		slave.Close()
		if master >= 0 {
			unix.Close(master)
		}
		return -1, nil, nil, startError(err)
	}
	return master, slave, modes, nil
}
