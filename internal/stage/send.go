package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SpecFD is the descriptor from which the first process of a jail reads its Spec: a Unix stream socket, which whoever made the jail
// closes behind it. What comes to its end without a Spec ends: nobody wants the jail any more.
const SpecFD = 3

const (
	// maxSpec bounds what is read, in bytes: a Spec has some ten kilobytes, most of them the filter and small files.
	maxSpec = 1 << 20
	// maxFiles is how many descriptors come with it at most: of its root, and of what is shown of its home and workspace.
	maxFiles = 16
)

// errUnwanted says that whoever began to make the jail has ended.
var errUnwanted = errors.New("whoever makes the jail has ended before it said what it should be")

// Pair makes the socket: the end of whoever makes the jail, and that of its first process.
func Pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that it can have a deadline
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "stage"), os.NewFile(uintptr(fds[1]), "stage"), nil
}

// Send sends the Spec with the descriptors that its mounts name, as far as the socket's deadline allows. A first process that has ended
// is EPIPE.
func (s *Spec) Send(to *os.File, files []*os.File) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(files) > maxFiles {
		return fmt.Errorf("%d descriptors are more than the %d that a stage takes", len(files), maxFiles)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd()) // of a mount, which nobody reads from: that it blocks from now on does not matter
		}
		rights = unix.UnixRights(fds...)
	}
	conn, err := to.SyscallConn()
	if err != nil {
		return err
	}
	sent := 0
	writeErr := conn.Write(func(fd uintptr) bool {
		sent, err = unix.SendmsgN(int(fd), b, rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err = errors.Join(writeErr, err); err == nil {
		_, err = to.Write(b[sent:]) // the descriptors have gone with the first byte
	}
	if errors.Is(err, unix.ECONNRESET) { // it has not read what there was
		err = unix.EPIPE
	}
	return err
}

// Receive receives the Spec from SpecFD.
func Receive() (*Spec, error) {
	unix.CloseOnExec(SpecFD)
	b, fds, err := receive(SpecFD)
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.ENOTSOCK) {
		return nil, fmt.Errorf("descriptor %d is no socket: a stage is started by the jail backend, and not by hand", SpecFD)
	} else if err != nil {
		return nil, fmt.Errorf("read what the jail should be: %w", err)
	}
	unix.Close(SpecFD)
	if len(b) == 0 {
		return nil, errUnwanted
	}
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("what the jail should be: %w", err)
	}
	return &s, s.number(fds)
}

// receive reads a socket to its end.
func receive(from int) (b []byte, fds []int, err error) {
	room, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*maxFiles))
	for len(b) <= maxSpec {
		n, oob, flags, _, err := unix.Recvmsg(from, room, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return b, fds, err
		case flags&unix.MSG_CTRUNC != 0:
			return b, fds, errors.New("more descriptors came with it than a stage takes")
		}
		more, err := descriptors(rights[:oob])
		if fds = append(fds, more...); err != nil || n == 0 {
			return b, fds, err
		}
		b = append(b, room[:n]...)
	}
	return b, fds, fmt.Errorf("it has more than %d bytes", maxSpec)
}

func descriptors(rights []byte) (fds []int, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		more, err2 := unix.ParseUnixRights(&m)
		fds, err = append(fds, more...), errors.Join(err, err2)
	}
	return fds, err
}

// number puts the descriptors in the place of their numbers among those that came.
func (s *Spec) number(fds []int) error {
	mounts := make([]*Mount, 0, len(s.Mounts)+1)
	for i := range s.Mounts {
		mounts = append(mounts, &s.Mounts[i])
	}
	if s.Root != nil {
		mounts = append(mounts, s.Root)
	}
	for _, m := range mounts {
		switch {
		case m.FD < 0 || m.FD > len(fds):
			return fmt.Errorf("%s: descriptor %d has not come, of %d that have", m.Target, m.FD, len(fds))
		case m.FD > 0:
			m.FD = fds[m.FD-1]
		}
	}
	return nil
}
