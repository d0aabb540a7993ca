package egress

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// original says where a redirected connection was on its way to. One that was made to the door itself was not.
func original(c net.Conn) (netip.AddrPort, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return netip.AddrPort{}, errors.New("the door is no TCP socket")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var sa *unix.IPv6Mreq // a struct of 20 bytes that x/sys can get, for a sockaddr_in, of 16
	var failed error
	if err := raw.Control(func(fd uintptr) {
		sa, failed = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST)
	}); err != nil {
		return netip.AddrPort{}, err
	}
	if failed != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockopt", failed)
	}
	return addrPort([8]byte(sa.Multiaddr[:8])), nil
}
