package egress

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/time/rate"

	"github.com/sandtree/sandtree/sandbox"
)

// The little of DNS (RFC 1035) that a made-up answer needs.
const (
	typeA, typeAAAA = 1, 28
	classIN         = 1

	rcodeOK, rcodeFormat, rcodeName, rcodeNotImplemented, rcodeRefused = 0, 1, 3, 4, 5

	dnsHeader  = 12
	dnsTTL     = 30 // seconds: the name is resolved when it is connected to, so this does not make anything stale
	maxPacket  = 512
	dnsAtOnce  = 500 // questions
	dnsASecond = 2000
)

// question is what somebody asks the name server.
type question struct {
	name   string // as it was asked for, in lower case, without a dot at its end
	typ    uint16
	class  uint16
	opcode byte
	raw    []byte // the header and the question
}

var errNoQuestion = errors.New("no question")

// parseQuestion reads a packet. What is no question at all is an error, and gets no answer; what has another number of
// them than one, or a name that cannot be read, has no raw question and only its header is good.
func parseQuestion(b []byte) (question, error) {
	if len(b) < dnsHeader || b[2]&0x80 != 0 { // too short, or an answer
		return question{}, errNoQuestion
	}
	q := question{opcode: b[2] >> 3 & 0xf, raw: b[:dnsHeader]}
	if binary.BigEndian.Uint16(b[4:]) != 1 {
		return q, nil
	}
	var name strings.Builder
	i := dnsHeader
	for {
		if i >= len(b) {
			return q, nil
		}
		n := int(b[i])
		if n == 0 {
			break
		}
		if n > 63 || i+1+n >= len(b) || i-dnsHeader+n > 253 { // a pointer, for which a question has no use, or too long
			return q, nil
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		for _, c := range b[i+1 : i+1+n] {
			if c == '.' { // would make two labels of one
				return q, nil
			}
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			name.WriteByte(c)
		}
		i += 1 + n
	}
	if i+5 > len(b) {
		return q, nil
	}
	q.name, q.typ, q.class, q.raw = name.String(), binary.BigEndian.Uint16(b[i+1:]), binary.BigEndian.Uint16(b[i+3:]), b[:i+5]
	return q, nil
}

// reply makes the packet that answers q; addr is what it answers, if it is valid.
func (q question) reply(rcode byte, addr netip.Addr) []byte {
	r := append(make([]byte, 0, len(q.raw)+28), q.raw...)
	r[2] = 0x80 | r[2]&0x79 // an answer; the opcode and "recursion desired" as they were
	r[3] = 0x80 | rcode     // recursion is available
	clear(r[4:dnsHeader])
	if len(q.raw) > dnsHeader {
		r[5] = 1 // question
	}
	if addr.IsValid() {
		ip := addr.AsSlice()
		r[7] = 1                                                     // answer
		r = append(r, 0xc0, dnsHeader)                               // for the name of the question
		r = binary.BigEndian.AppendUint16(r, q.typ)                  //
		r = append(r, 0, classIN, 0, 0, 0, dnsTTL, 0, byte(len(ip))) //
		r = append(r, ip...)
	}
	return r
}

// answer is the name server.
func (p *Proxy) answer(door net.PacketConn) {
	pace := rate.NewLimiter(dnsASecond, dnsAtOnce)
	buf := make([]byte, maxPacket)
	for {
		n, from, err := door.ReadFrom(buf)
		if err != nil {
			if !p.tolerates("questions", err) {
				return
			}
			continue
		}
		if pace.Wait(p.ctx) != nil {
			return
		}
		if q, err := parseQuestion(buf[:n]); err == nil {
			p.refresh()
			_, _ = door.WriteTo(p.reply(q), from) // who asks again is answered again
		}
	}
}

// reply says what the sandbox is told of a name.
func (p *Proxy) reply(q question) []byte {
	var none netip.Addr
	switch {
	case q.opcode != 0:
		return q.reply(rcodeNotImplemented, none)
	case len(q.raw) <= dnsHeader:
		return q.reply(rcodeFormat, none)
	case q.class != classIN:
		return q.reply(rcodeRefused, none)
	case q.name == "localhost" || strings.HasSuffix(q.name, ".localhost"): // RFC 6761 section 6.3
		switch q.typ {
		case typeA:
			return q.reply(rcodeOK, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		case typeAAAA:
			return q.reply(rcodeOK, netip.IPv6Loopback())
		}
		return q.reply(rcodeOK, none)
	case strings.HasSuffix(q.name, ".arpa"): // whose address this is, nobody here knows
		return q.reply(rcodeName, none)
	}
	name, ok := sandbox.ParseHostname(q.name)
	if !ok {
		return q.reply(rcodeName, none)
	}
	p.mu.Lock()
	allowed := p.policy.allows(name)
	p.mu.Unlock()
	switch {
	case !allowed:
		if q.typ != typeAAAA { // most programs ask for both
			p.deny(sandbox.Connection{Name: name, Why: sandbox.CauseName})
		}
		return q.reply(rcodeName, none)
	case q.typ != typeA:
		return q.reply(rcodeOK, none)
	}
	return q.reply(rcodeOK, p.names.address(name))
}
