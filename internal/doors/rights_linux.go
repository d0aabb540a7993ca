package doors

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Send gives the set to whoever holds the other end of the Unix socket fd; this process keeps its own.
func (s Set) Send(fd int) error {
	var rights []int
	for _, f := range s.files() {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { rights = append(rights, int(fd)) })
		}
		if err != nil {
			return err
		}
	}
	reason := "-" // a message needs a byte
	if s.Missing != nil {
		reason = fmt.Sprintf("-%.200s", s.Missing.Error())
	}
	if err := unix.Sendmsg(fd, []byte(reason), unix.UnixRights(rights...), nil, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("send the doors", err)
	}
	return nil
}

// Receive takes a set from c, for which it waits until c's deadline. What arrives need not come from a friend; what is no
// socket of the kind that a set has is refused.
func Receive(c *net.UnixConn) (Set, error) {
	text, rights := make([]byte, 256), make([]byte, unix.CmsgSpace(4*most))
	n, oob, flags, _, err := c.ReadMsgUnix(text, rights) // marks what arrives close-on-exec
	if err != nil {
		return Set{}, fmt.Errorf("receive the doors: %w", err)
	}
	files, err := unpack(rights[:oob])
	var s Set
	switch {
	case err != nil:
	case n > 0 && flags&unix.MSG_CTRUNC == 0 && len(files) == most:
		s = Set{Connect: files[0], Transparent: files[1], DNS: files[2]}
		err = s.check()
	case n > 0 && flags&unix.MSG_CTRUNC == 0 && len(files) == 1:
		s = Set{Connect: files[0], Missing: errors.New(string(text[1:n]))}
		err = s.check()
	default:
		err = fmt.Errorf("%d bytes, %d descriptors", n, len(files))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return Set{}, fmt.Errorf("what was sent is no set of doors: %w", err)
	}
	return s, nil
}

func unpack(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	for _, m := range messages {
		fds, err2 := unix.ParseUnixRights(&m)
		err = errors.Join(err, err2)
		for _, fd := range fds {
			err = errors.Join(err, unix.SetNonblock(fd, true)) // before NewFile, which asks
			files = append(files, os.NewFile(uintptr(fd), "door"))
		}
	}
	return files, err
}

// check says whether the sockets are of the right kind.
func (s Set) check() error {
	for _, f := range s.files() {
		typ, listening := unix.SOCK_STREAM, 1
		if f == s.DNS {
			typ, listening = unix.SOCK_DGRAM, 0
		}
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		for _, want := range []struct{ option, value int }{
			{unix.SO_DOMAIN, unix.AF_INET}, {unix.SO_TYPE, typ}, {unix.SO_ACCEPTCONN, listening},
		} {
			var got int
			if err2 := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, want.option) }); err2 != nil {
				return err2
			}
			if err != nil {
				return os.NewSyscallError("getsockopt", err)
			}
			if got != want.value {
				return fmt.Errorf("socket option %d is %d, want %d", want.option, got, want.value)
			}
		}
	}
	return nil
}

// Listeners gives what Go accepts on, and closes the set. The last two are nil where the set lacks them.
func (s Set) Listeners() (connect, transparent net.Listener, dns net.PacketConn, err error) {
	defer s.Close()
	if connect, err = net.FileListener(s.Connect); err != nil || s.Transparent == nil {
		return connect, nil, nil, err
	}
	if transparent, err = net.FileListener(s.Transparent); err != nil {
		connect.Close()
		return nil, nil, nil, err
	}
	if dns, err = net.FilePacketConn(s.DNS); err != nil {
		connect.Close()
		transparent.Close()
		return nil, nil, nil, err
	}
	return connect, transparent, dns, nil
}

// Keep gives the set to everybody who connects to l, until l is closed. It does not close the set.
func (s Set) Keep(l *net.UnixListener) error {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		raw, err := c.SyscallConn()
		if err == nil {
			// One small message fits the buffer of a fresh socket, so nobody can make this wait.
			_ = raw.Control(func(fd uintptr) { err = s.Send(int(fd)) })
		}
		c.Close()
	}
}
