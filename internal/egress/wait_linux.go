package egress

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// waiter gives a function that returns once c has something to read, its end or an error included.
func waiter(c net.Conn) func() error {
	s, ok := c.(syscall.Conn)
	if !ok {
		return func() error { return nil }
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return func() error { return err }
	}
	one := make([]byte, 1)
	ready := func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), one, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	}
	return func() error { return raw.Read(ready) }
}
