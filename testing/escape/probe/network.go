package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 2 * time.Second

// dial asks somebody for something, and fails unless there is an answer: what lets a sandbox out accepts first, and then
// looks where to.
func dial(network, address string) error {
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

func socket(domain, kind, protocol int) error {
	fd, err := unix.Socket(domain, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

var network = []probe{
	{"interfaces of the host", func(host) error {
		all, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range all {
			if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
				return nil
			}
		}
		return fmt.Errorf("%d, none but loopback is up", len(all))
	}},
	{"a listener on the host's loopback", func(h host) error { return dial("tcp", h.Address) }},
	{"the metadata service of a cloud", func(host) error { return dial("tcp", "169.254.169.254:80") }},
	{"a socket without a file", func(h host) error { return dial("unix", "@"+h.Abstract) }},
	{"sockets of servers and engines", func(h host) error {
		return any(h.Sockets, func(s string) error { return dial("unix", s) })
	}},
	{"a raw socket", func(host) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) }},
	{"a packet socket", func(host) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) }},
	{"a socket to the hypervisor", func(host) error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) }},
	{"the kernel's cryptography", func(host) error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) }},
	{"other families of sockets", func(host) error {
		return any([]int{unix.AF_KEY, unix.AF_BLUETOOTH, unix.AF_CAN, unix.AF_TIPC, unix.AF_RDS, unix.AF_XDP, unix.AF_SMC, unix.AF_NFC, unix.AF_APPLETALK},
			func(d int) error { return socket(d, unix.SOCK_DGRAM, 0) })
	}},
	{"an address of its own", func(host) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		r, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		r.SetUint16(0)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	}},
	{"what the kernel tells of devices", func(host) error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
			return err
		}
		return errors.New("of its own network namespace, which has none")
	}},
}
