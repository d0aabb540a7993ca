//go:build !linux

package egress

import (
	"errors"
	"net"
	"net/netip"
)

func original(net.Conn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("connections are redirected on Linux only")
}
