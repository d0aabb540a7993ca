package shell

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The descriptors of a bash. They are not files of the runtime's, for then its poller would wake a thread for everything
// that comes; see listen.
type descriptors struct {
	commands int      // where command lines go in, non-blocking
	reports  int      // where reports come out; of a socket, both are one
	tty      int      // the terminal's master side, or a pipe's end where output comes out
	input    int      // a pipe's end where input goes in; -1 if there is none, or an outlet has it
	unread   int      // and a copy of its other end
	nudges   int      // an event: whoever listens is to look up
	here     *watcher // of the one who runs a command
	idle     *watcher // of the pump
	quit     int      // an event that is raised for good when all are to stop
}

// openDescriptors makes all but the terminal, and bash's end of the channel that commands go in by and reports come out of:
// a socket or, with pipes, one for each, which takes bash and us a tenth less of the time of a short command.
func openDescriptors(pipes bool) (d descriptors, theirs []*os.File, err error) {
	d = descriptors{commands: -1, reports: -1, tty: -1, input: -1, unread: -1, nudges: -1, quit: -1}
	if pipes {
		theirs, err = d.openTwoPipes()
	} else {
		theirs, err = d.openSocket()
	}
	if err != nil {
		d.close()
		return d, nil, err
	}
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
		err = errors.Join(d.here.add(d.reports, true), d.here.add(d.nudges, true))
	}
	if err != nil {
		closeFiles(theirs)
		d.close()
		return d, nil, fmt.Errorf("make events: %w", err)
	}
	return d, theirs, nil
}

func (d *descriptors) openSocket() (theirs []*os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	d.commands, d.reports = pair[0], pair[0]
	theirs = []*os.File{os.NewFile(uintptr(pair[1]), "commands")}
	return theirs, unix.SetNonblock(d.commands, true)
}

// openTwoPipes gives the ends that commands are read from and reports are written to.
func (d *descriptors) openTwoPipes() (theirs []*os.File, err error) {
	var in, out [2]int
	if err := unix.Pipe2(in[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe2: %w", err)
	}
	d.commands = in[1]
	theirs = []*os.File{os.NewFile(uintptr(in[0]), "commands")}
	if err = unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		closeFiles(theirs)
		return nil, fmt.Errorf("pipe2: %w", err)
	}
	d.reports = out[0]
	theirs = append(theirs, os.NewFile(uintptr(out[1]), "reports"))
	return theirs, errors.Join(unix.SetNonblock(d.commands, true), unix.SetNonblock(d.reports, true))
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// nameOf is the name by which /proc calls what a descriptor is open on, a pipe or a socket.
func nameOf(fd int) string {
	name, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return name
}

func (d *descriptors) close() {
	for _, w := range []*watcher{d.here, d.idle} {
		if w != nil {
			w.close()
		}
	}
	if d.reports == d.commands {
		d.reports = -1
	}
	for _, fd := range []*int{&d.commands, &d.reports, &d.tty, &d.input, &d.unread, &d.nudges, &d.quit} {
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
