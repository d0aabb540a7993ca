package doors

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// natPriority is that of destination NAT among the hooks: NF_IP_PRI_NAT_DST of uapi/linux/netfilter_ipv4.h, -100.
const natPriority = 1<<32 - 100

// message is a series of netlink messages in the making (netlink(7)).
type message struct {
	b     []byte
	start int // of the message that was begun last
	acks  int // how many of them ask for an answer
}

func (m *message) bytes(b ...byte)   { m.b = append(m.b, b...) }
func (m *message) native32(n uint32) { m.b = binary.NativeEndian.AppendUint32(m.b, n) }

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
func big(n uint32) []byte    { return binary.BigEndian.AppendUint32(nil, n) }
func text(s string) []byte   { return append([]byte(s), 0) }

// begin begins a message; end ends it.
func (m *message) begin(typ, flags uint16) {
	m.start = len(m.b)
	m.native32(0) // the length, which end sets
	m.b = binary.NativeEndian.AppendUint16(m.b, typ)
	m.b = binary.NativeEndian.AppendUint16(m.b, flags|unix.NLM_F_REQUEST)
	m.native32(uint32(m.acks)) // the number of the message
	m.native32(0)
	if flags&unix.NLM_F_ACK != 0 {
		m.acks++
	}
}

func (m *message) end() { binary.NativeEndian.PutUint32(m.b[m.start:], uint32(len(m.b)-m.start)) }

// attr adds an attribute.
func (m *message) attr(typ uint16, data []byte) {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(4+len(data)))
	m.b = binary.NativeEndian.AppendUint16(m.b, typ)
	m.b = append(m.b, data...)
	m.pad()
}

// nest adds an attribute that holds those that f adds.
func (m *message) nest(typ uint16, f func()) {
	at := len(m.b)
	m.attr(typ|unix.NLA_F_NESTED, nil)
	f()
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
}

func (m *message) pad() {
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

// batch adds one of the messages that enclose those of a transaction.
func (m *message) batch(typ uint16) {
	m.begin(typ, 0)
	m.bytes(unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES) // the last two are one number, big-endian
	m.end()
}

// nft adds a message to nf_tables.
func (m *message) nft(typ, flags uint16, attributes func()) {
	m.begin(unix.NFNL_SUBSYS_NFTABLES<<8|typ, flags|unix.NLM_F_ACK)
	m.bytes(unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0)
	attributes()
	m.end()
}

// expression adds one step of a rule.
func (m *message) expression(name string, attributes func()) {
	m.nest(unix.NFTA_LIST_ELEM, func() {
		m.attr(unix.NFTA_EXPR_NAME, text(name))
		m.nest(unix.NFTA_EXPR_DATA, attributes)
	})
}

// register is the one in which the steps of a rule hand on what they found.
const register = unix.NFT_REG_1

func (m *message) protocol(number byte) {
	m.expression("meta", func() {
		m.attr(unix.NFTA_META_DREG, big(register))
		m.attr(unix.NFTA_META_KEY, big(unix.NFT_META_L4PROTO))
	})
	m.compare(unix.NFT_CMP_EQ, number)
}

func (m *message) payload(base, offset, length uint32) {
	m.expression("payload", func() {
		m.attr(unix.NFTA_PAYLOAD_DREG, big(register))
		m.attr(unix.NFTA_PAYLOAD_BASE, big(base))
		m.attr(unix.NFTA_PAYLOAD_OFFSET, big(offset))
		m.attr(unix.NFTA_PAYLOAD_LEN, big(length))
	})
}

func (m *message) compare(op uint32, value ...byte) {
	m.expression("cmp", func() {
		m.attr(unix.NFTA_CMP_SREG, big(register))
		m.attr(unix.NFTA_CMP_OP, big(op))
		m.nest(unix.NFTA_CMP_DATA, func() { m.attr(unix.NFTA_DATA_VALUE, value) })
	})
}

func (m *message) redirect(port uint16) {
	m.expression("immediate", func() {
		m.attr(unix.NFTA_IMMEDIATE_DREG, big(register))
		m.nest(unix.NFTA_IMMEDIATE_DATA, func() { m.attr(unix.NFTA_DATA_VALUE, binary.BigEndian.AppendUint16(nil, port)) })
	})
	m.expression("redir", func() { m.attr(unix.NFTA_REDIR_REG_PROTO_MIN, big(register)) })
}

// send sends the messages and gives the first error that the kernel answers.
func (m *message) send(protocol int) error {
	f, err := m.sendBy(protocol)
	if err != nil {
		return err
	}
	return f.Close()
}

// sendBy gives the socket that it was sent by, for one who has a better time to close it: when that of a message to
// nf_tables is closed, the kernel waits until nobody can still use what there was before (nft_rcv_nl_event).
func (m *message) sendBy(protocol int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	if err := m.exchange(fd); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (m *message) exchange(fd int) error {
	if err := unix.Sendto(fd, m.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	buf := make([]byte, 8<<10) // an answer repeats the message that it is about, a failed one of a batch the whole
	for answered := 0; answered < m.acks; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return os.NewSyscallError("receive", err)
		}
		more, err := answers(buf[:n])
		if err != nil {
			return err
		}
		answered += more
	}
	return nil
}

// answers counts the messages that were taken. The kernel sent them; they are looked at as if it had not.
func answers(b []byte) (n int, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR && length >= unix.NLMSG_HDRLEN+4 {
			if code := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); code != 0 {
				return n, unix.Errno(-code)
			}
			n++
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	if n == 0 {
		return 0, fmt.Errorf("netlink: an answer of %d bytes that is none", len(b))
	}
	return n, nil
}
