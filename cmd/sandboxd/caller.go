package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A caller is who may say by a socket what the server would read on its standard input: whoever passes that on for a container
// takes a millisecond each way. There is one, the first to connect, and a call that ends has said all, as standard input has. Who
// gets to the socket is told what no sandbox has told anybody yet, which is nothing; programs come to be when it has gone.
type caller struct {
	path string // "" once there is no socket
	fd   int    // of the socket, or of the one who has connected
}

// expectCaller opens the socket, for this user only.
func expectCaller(path string) (*caller, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Umask(unix.Umask(0o177))
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("listen", err), unix.Close(fd))
	}
	return &caller{path, fd}, nil
}

// wait returns when there is something to read: of the caller, by that descriptor, or else on standard input.
func (c *caller) wait() (fd int, called bool) {
	for {
		on := []unix.PollFd{{Fd: int32(os.Stdin.Fd()), Events: unix.POLLIN}, {Fd: int32(c.fd), Events: unix.POLLIN}}
		_, err := unix.Poll(on, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || on[0].Revents != 0:
			c.close()
			return -1, false
		case c.path == "":
			return c.fd, true
		case !c.accept():
			return -1, false
		}
	}
}

// accept takes the call, after which there is no other.
func (c *caller) accept() bool {
	fd, _, err := unix.Accept4(c.fd, unix.SOCK_CLOEXEC)
	c.close()
	c.fd = fd
	return err == nil
}

// A call is what comes by a descriptor, which whoever has it closes.
type call int

// Read implements io.Reader.
func (c call) Read(b []byte) (int, error) {
	for {
		switch n, err := unix.Read(int(c), b); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (c *caller) close() {
	if c.path != "" {
		_ = os.Remove(c.path)
	}
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
	c.path, c.fd = "", -1
}
