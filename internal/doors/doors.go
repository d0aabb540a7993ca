// Package doors gives a network namespace that has no interface but lo a way out: sockets inside of it, on which
// somebody outside accepts. Package egress is that somebody.
//
// Inside, once, by the process that sets the sandbox up, while it still has CAP_NET_ADMIN and CAP_NET_BIND_SERVICE in
// the user namespace that owns the network namespace (as root of its own user namespace it has both):
//
//	set, err := doors.Open()       // lo up, everything routed to lo, TCP and UDP 53 redirected; some 0.2 ms, and 10 when the set is settled
//	err = set.Send(controlSocket)  // SCM_RIGHTS over a Unix socket that the outside holds the other end of
//	set.Close()
//
// Outside:
//
//	set, err := doors.Receive(controlConn)     // a *net.UnixConn, with a deadline
//	connect, transparent, dns, err := set.Listeners() // for egress.Doors; the set is used up
//
// The sockets stay what they are when the outside ends, as long as one process has them open. For a sandbox that is to
// outlive the one who started it, a process inside does not close its set but calls Keep, which gives it again to
// whoever asks. No program inside gains anything by asking: these are the ends of its own connections.
//
// What is inside has to know little: the file ResolvConf as /etc/resolv.conf. Programs that heed Proxy in HTTP_PROXY,
// HTTPS_PROXY and ALL_PROXY need neither the redirection nor names; where the kernel cannot redirect (no nf_tables), Open
// gives the set without the other two doors, says why in Set.Missing, and the variables are the only way out. UDP other
// than to port 53, and IPv6, are refused or unreachable at once, so that QUIC and Happy Eyeballs fall back without waiting.
//
// It speaks netlink (rtnetlink(7), and the kernel's uapi/linux/netfilter/nf_tables.h) with some dozen bytes of its own,
// since this is linked into the program that starts in every sandbox.
package doors

import "os"

// The doors, on 127.0.0.1 of the sandbox.
const (
	ConnectPort     = 3128
	TransparentPort = 3129
	DNSPort         = 53
)

const (
	// Proxy is the address of the first door, as variables such as HTTPS_PROXY have it.
	Proxy = "http://127.0.0.1:3128"
	// ResolvConf is what /etc/resolv.conf has to say inside; see resolv.conf(5).
	ResolvConf = "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"
)

// Set is the sockets of one sandbox.
type Set struct {
	Connect     *os.File // TCP: an HTTP proxy is asked for here
	Transparent *os.File // TCP: what was on its way elsewhere arrives here; nil where the kernel cannot redirect
	DNS         *os.File // UDP: questions for names; nil where Transparent is
	Missing     error    // why those are nil

	rules *os.File // by which the kernel was told to redirect, and through which nothing else can be told without privileges
}

// Settle ends what Open has begun, for which the kernel waits some 10 ms. Close does so too: this is for one who keeps the
// set and is in a hurry, to be called where nobody waits, also without privileges.
func (s Set) Settle() {
	if s.rules != nil {
		s.rules.Close()
	}
}

// Close closes them in this process. Idempotent.
func (s Set) Close() {
	s.Settle()
	for _, f := range s.files() {
		f.Close()
	}
}

// files are those that are there, in the order in which they are sent.
func (s Set) files() []*os.File {
	files := make([]*os.File, 0, most)
	for _, f := range []*os.File{s.Connect, s.Transparent, s.DNS} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

const most = 3
