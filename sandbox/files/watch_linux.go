package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What an event says, in the kernel's bits.
const (
	created     = unix.IN_CREATE
	removed     = unix.IN_DELETE
	modified    = unix.IN_MODIFY
	changedMode = unix.IN_ATTRIB
	movedFrom   = unix.IN_MOVED_FROM
	movedTo     = unix.IN_MOVED_TO
	selfGone    = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT
	watchEnded  = unix.IN_IGNORED
	overflowed  = unix.IN_Q_OVERFLOW

	watched = created | removed | modified | changedMode | movedFrom | movedTo | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// A rawEvent is one of the kernel's.
type rawEvent struct {
	wd     int
	mask   uint32
	cookie uint32 // the two halves of a move have the same
	name   string
}

func (e *rawEvent) has(bits uint32) bool { return e.mask&bits != 0 }
func (e *rawEvent) isDir() bool          { return e.has(unix.IN_ISDIR) }

// inotify is an instance of the kernel's, as a file that can be waited for.
type inotify struct {
	f   *os.File
	buf [64 << 10]byte
}

func newInotify() (*inotify, error) {
	if !procFD() {
		return nil, errors.ErrUnsupported
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &inotify{f: os.NewFile(uintptr(fd), "inotify")}, nil
}

// add watches the directory that is open as dir, whatever has its name by now.
func (i *inotify) add(dir *os.File) (wd int, err error) { return i.addFor(dir, watched) }

// addFor is add, but for some events only.
func (i *inotify) addFor(dir *os.File, events uint32) (wd int, err error) {
	err = i.control(func(fd int) error {
		wd, err = unix.InotifyAddWatch(fd, "/proc/self/fd/"+strconv.Itoa(int(dir.Fd())), events|unix.IN_ONLYDIR)
		return os.NewSyscallError("inotify_add_watch", err)
	})
	return wd, err
}

func (i *inotify) remove(wd int) {
	_ = i.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd))
		return err
	})
}

// control calls f with the descriptor, which Fd would make a blocking one.
func (i *inotify) control(f func(fd int) error) error {
	raw, err := i.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// read waits for events.
func (i *inotify) read() ([]rawEvent, error) {
	n, err := i.f.Read(i.buf[:])
	if err != nil {
		return nil, err
	}
	return parseEvents(i.buf[:n]), nil
}

func parseEvents(b []byte) (events []rawEvent) {
	for len(b) >= unix.SizeofInotifyEvent {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if end > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		events = append(events, rawEvent{int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:]),
			binary.NativeEndian.Uint32(b[8:]), string(name)})
		b = b[end:]
	}
	return events
}

// pending says whether there are events to read.
func (i *inotify) pending() bool { return i.poll(0) }

// soon waits a little for events: the kernel makes the two of a move one right after the other.
func (i *inotify) soon() bool { return i.poll(10 * time.Millisecond) }

func (i *inotify) poll(wait time.Duration) (ready bool) {
	_ = i.control(func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		ready = n > 0
		return err
	})
	return ready
}

// interrupt ends read for good.
func (i *inotify) interrupt() { _ = i.f.SetReadDeadline(time.Unix(1, 0)) }

func (i *inotify) close() error { return i.f.Close() }

func noWatchesLeft(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) }

func notADirectory(err error) bool { return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) }
