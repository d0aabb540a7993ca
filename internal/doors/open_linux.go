package doors

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// backlog is how many connections may wait for one who accepts, also while nobody does: as many as a sandbox may have.
const backlog = 128

// Open makes the doors of the network namespace that the calling thread is in, which must have no interface but lo. It may
// have had doors before, which nobody has open any more. What it sets up in the namespace ends with it.
func Open() (Set, error) { return open(false) }

// open makes them; shared ones can be opened by several processes of the same user, who get what comes by turns.
func open(shared bool) (Set, error) {
	if err := up(); err != nil {
		return Set{}, err
	}
	var s Set
	var err error
	if s.Connect, err = listen(unix.SOCK_STREAM, ConnectPort, "connect", shared); err != nil {
		return Set{}, err
	}
	if s.rules, s.Missing = redirect(shared); s.Missing != nil {
		return s, nil
	}
	// Without a route the kernel says "network unreachable" before any rule is asked; and only with the rules in place
	// may there be one, since it makes this namespace answer for every address.
	err = route()
	if err == nil {
		s.Transparent, err = listen(unix.SOCK_STREAM, TransparentPort, "transparent", shared)
	}
	if err == nil {
		s.DNS, err = listen(unix.SOCK_DGRAM, DNSPort, "dns", shared)
	}
	if err != nil {
		s.Close()
		return Set{}, err
	}
	return s, nil
}

func listen(typ, port int, name string, shared bool) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if typ == unix.SOCK_STREAM { // connections of an earlier door need not have ended; one that is open is in the way all the same
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil && shared {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil && typ == unix.SOCK_STREAM {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open the door %q at port %d: %w", name, port, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

const loopback = 1 // the index of lo: the first interface of every namespace

// up switches lo on.
func up() error {
	var m message
	m.begin(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	m.bytes(unix.AF_UNSPEC, 0, 0, 0)
	m.native32(loopback)
	m.native32(unix.IFF_UP) // the flags
	m.native32(unix.IFF_UP) // of which this one is to change
	m.end()
	if err := m.send(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("switch the loopback interface on: %w", err)
	}
	return nil
}

// route makes every address one of this namespace's own.
func route() error {
	var m message
	m.begin(unix.RTM_NEWROUTE, unix.NLM_F_ACK|unix.NLM_F_CREATE)
	m.bytes(unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL)
	m.native32(0)
	m.attr(unix.RTA_OIF, native(loopback))
	m.end()
	if err := m.send(unix.NETLINK_ROUTE); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("route all addresses to the loopback interface: %w", err)
	}
	return nil
}

// redirect sends what goes elsewhere to the doors; again is whether there may be rules already. The rules are, as nft(8) would show them:
//
//	table ip sandtree {
//		chain out {
//			type nat hook output priority -100
//			meta l4proto tcp ip daddr != 127.0.0.0/8 redirect to :3129
//			meta l4proto udp udp dport 53 redirect to :53
//		}
//	}
func redirect(again bool) (rules *os.File, err error) {
	const table, chain = "sandtree", "out"
	var m message
	m.batch(unix.NFNL_MSG_BATCH_BEGIN)
	steps := []uint16{unix.NFT_MSG_NEWTABLE}
	if again { // so that it is empty; to delete a table takes the kernel some 10 ms, when the socket is closed
		steps = append(steps, unix.NFT_MSG_DELTABLE, unix.NFT_MSG_NEWTABLE)
	}
	for _, step := range steps {
		m.nft(step, unix.NLM_F_CREATE, func() { m.attr(unix.NFTA_TABLE_NAME, text(table)) })
	}
	m.nft(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func() {
		m.attr(unix.NFTA_CHAIN_TABLE, text(table))
		m.attr(unix.NFTA_CHAIN_NAME, text(chain))
		m.nest(unix.NFTA_CHAIN_HOOK, func() {
			m.attr(unix.NFTA_HOOK_HOOKNUM, big(unix.NF_INET_LOCAL_OUT))
			m.attr(unix.NFTA_HOOK_PRIORITY, big(natPriority))
		})
		m.attr(unix.NFTA_CHAIN_TYPE, text("nat"))
	})
	rule := func(expressions func()) {
		m.nft(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func() {
			m.attr(unix.NFTA_RULE_TABLE, text(table))
			m.attr(unix.NFTA_RULE_CHAIN, text(chain))
			m.nest(unix.NFTA_RULE_EXPRESSIONS, expressions)
		})
	}
	rule(func() {
		m.protocol(unix.IPPROTO_TCP)
		m.payload(unix.NFT_PAYLOAD_NETWORK_HEADER, 16, 1) // the first byte of the destination (RFC 791 section 3.1)
		m.compare(unix.NFT_CMP_NEQ, 127)
		m.redirect(TransparentPort)
	})
	rule(func() {
		m.protocol(unix.IPPROTO_UDP)
		m.payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2) // the destination's port (RFC 768)
		m.compare(unix.NFT_CMP_EQ, 0, DNSPort)
		m.redirect(DNSPort)
	})
	m.batch(unix.NFNL_MSG_BATCH_END)
	rules, err = m.sendBy(unix.NETLINK_NETFILTER)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT):
		err = fmt.Errorf("this kernel cannot redirect (it lacks nf_tables, nft_chain_nat or nft_redir): %w", err)
	case err != nil:
		err = fmt.Errorf("redirect connections to the doors: %w", err)
	}
	return rules, err
}
