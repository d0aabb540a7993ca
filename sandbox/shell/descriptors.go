package shell

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The descriptors of a bash. They are not files of the runtime's, for then its poller would wake a thread for everything
// that comes; see listen.
type descriptors struct {
	socket int      // our end
	tty    int      // the terminal's master side, or a pipe's end where output comes out
	input  int      // a pipe's end where input goes in; -1 if there is none, or an outlet has it
	unread int      // and a copy of its other end
	nudges int      // an event: whoever listens is to look up
	here   *watcher // of the one who runs a command
	idle   *watcher // of the pump
	quit   int      // an event that is raised for good when all are to stop
}

// openDescriptors makes all but the terminal, and the other end of the socket.
func openDescriptors() (d descriptors, theirs *os.File, err error) {
	d = descriptors{socket: -1, tty: -1, input: -1, unread: -1, nudges: -1, quit: -1}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return d, nil, fmt.Errorf("socketpair: %w", err)
	}
	d.socket, theirs = pair[0], os.NewFile(uintptr(pair[1]), "commands")
	err = unix.SetNonblock(d.socket, true)
	for _, event := range []*int{&d.nudges, &d.quit} {
		if err == nil {
			*event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		}
	}
	if err == nil {
		d.here, err = newWatcher()
	}
	if err == nil {
		d.idle, err = newWatcher()
	}
	if err == nil {
		err = errors.Join(d.here.add(d.socket, true), d.here.add(d.nudges, true))
	}
	if err != nil {
		theirs.Close()
		d.close()
		return d, nil, fmt.Errorf("make events: %w", err)
	}
	return d, theirs, nil
}

func (d *descriptors) close() {
	for _, w := range []*watcher{d.here, d.idle} {
		if w != nil {
			w.close()
		}
	}
	for _, fd := range []*int{&d.socket, &d.tty, &d.input, &d.unread, &d.nudges, &d.quit} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// raise raises an event.
func raise(event int) {
	_, _ = unix.Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // any number but 0, and not all ones, in either byte order
}

// lower takes an event back, and says whether it was raised.
func lower(event int) bool {
	var count [8]byte
	n, _ := unix.Read(event, count[:])
	return n == len(count)
}
