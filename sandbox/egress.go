package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Egress says what programs in a sandbox may connect to. It is enforced outside of the sandbox, by the name that was
// looked up, whatever the program does; docs/egress.md says how.
//
// The zero Egress lets them connect to everything but what only the host can reach: its own loopback, link-local
// addresses (where clouds answer for a machine's identity), private and reserved ranges. The other modes keep those
// shut too. A CIDR opens a part of a shut range if it lies within that range: "10.1.0.0/16" opens that much of
// 10.0.0.0/8, and "0.0.0.0/0" opens nothing that is shut.
type Egress struct {
	Mode EgressMode `json:"mode,omitempty"` // "" is EgressAllowAll
	// Domains are the names that may be connected to, for EgressAllowList: "example.com" is that one name,
	// "*.example.com" every name below it, without itself. Other names do not resolve.
	Domains []string `json:"domains,omitempty"`
	// CIDRs are the addresses that may be connected to literally, as in "192.0.2.0/24" or "192.0.2.7", for
	// EgressAllowList; and the parts of shut ranges that are open, also to a name that resolves into them.
	CIDRs []string `json:"cidrs,omitempty"`
}

// EgressMode is what holds where nothing is listed.
type EgressMode string

// The modes.
const (
	EgressAllowAll  EgressMode = "allow-all"  // everything but what is shut
	EgressDenyAll   EgressMode = "deny-all"   // nothing
	EgressAllowList EgressMode = "allow-list" // what is listed
)

// EgressModes are all of them.
var EgressModes = []EgressMode{EgressAllowAll, EgressDenyAll, EgressAllowList}

const maxEgress = 4096 // entries of one list: a policy is looked through for each connection

// IsZero says whether e is the default, which no driver has to know.
func (e Egress) IsZero() bool { return e.Mode == "" && len(e.Domains) == 0 && len(e.CIDRs) == 0 }

// Check says whether e makes sense by itself; the error names the entry.
func (e Egress) Check() error {
	switch {
	case e.Mode != "" && !slices.Contains(EgressModes, e.Mode):
		return fmt.Errorf("mode: want one of %q, have %.40q", EgressModes, e.Mode)
	case len(e.Domains) > 0 && e.Mode != EgressAllowList:
		return fmt.Errorf("domains: a list of names is for mode %q; here the mode is %q", EgressAllowList, e.Mode)
	case len(e.CIDRs) > 0 && e.Mode == EgressDenyAll:
		return fmt.Errorf("cidrs: mode %q denies them; take %q", EgressDenyAll, EgressAllowList)
	case len(e.Domains) > maxEgress || len(e.CIDRs) > maxEgress:
		return fmt.Errorf("want at most %d domains and %d cidrs", maxEgress, maxEgress)
	}
	for _, d := range e.Domains {
		if _, _, err := ParseDomain(d); err != nil {
			return fmt.Errorf("domains: %.80q: %w", d, err)
		}
	}
	for _, c := range e.CIDRs {
		if _, err := ParseCIDR(c); err != nil {
			return fmt.Errorf("cidrs: %w", err)
		}
	}
	return nil
}

// ParseDomain reads an entry of Egress.Domains: the name in lower case, and whether it stands for all names below it.
func ParseDomain(s string) (name string, below bool, err error) {
	name, below = strings.CutPrefix(s, "*.")
	if strings.Contains(name, "*") {
		return "", false, errors.New(`a '*' may only be the first label, as in "*.example.com"`)
	}
	if name, ok := ParseHostname(name); ok {
		return name, below, nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", false, errors.New("an address belongs under cidrs")
	}
	return "", false, errors.New("want a host name in ASCII, names in other letters in their xn-- form, without scheme, port and path")
}

// ParseHostname gives a host name in its one form: lower case, without a dot at its end. It refuses what is none, what
// could be read as an address, such as "127.1" or "0x7f000001", and what is not ASCII.
func ParseHostname(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 { // RFC 1035 section 2.3.4, without the length bytes at both ends
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
				return "", false
			}
		}
		last = label
	}
	if last[0] >= '0' && last[0] <= '9' { // no top-level domain begins so (RFC 1123 section 2.1), and addresses do
		return "", false
	}
	return strings.ToLower(s), true
}

// ParseCIDR reads an entry of Egress.CIDRs.
func ParseCIDR(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf(`want an address or a range such as "192.0.2.0/24", have %.60q`, s)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%.60q: write it as a range of IPv4", s)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%.60q has bits beyond its length: did you mean %q?", s, p.Masked())
	}
	return p, nil
}

// A Connection is what a program in a sandbox did on the network, or was kept from. Sandboxes with many of them tell
// some only; Untold says how many were left out.
type Connection struct {
	Time time.Time       `json:"time"`
	Kind ConnectionKind  `json:"kind"`
	Name string          `json:"name,omitempty"` // that was looked up or asked for; "" if it was an address
	Addr netip.Addr      `json:"addr,omitzero"`  // that is connected to, or was asked for
	Port uint16          `json:"port,omitempty"` // 0 if a name was looked up only
	Why  ConnectionCause `json:"why,omitempty"`  // it was denied, failed or was cut

	Sent     int64         `json:"sent,omitempty"`     // bytes out of the sandbox; at the end
	Received int64         `json:"received,omitempty"` // bytes into it; at the end
	Took     time.Duration `json:"took,omitempty"`     // nanoseconds, from its acceptance; at the end

	Untold int64 `json:"untold,omitempty"` // events before this one that nobody was told of
}

// Traffic is what a sandbox has had of the network, since somebody last began to count.
type Traffic struct {
	Sent        int64 `json:"sent"`        // bytes out of the sandbox
	Received    int64 `json:"received"`    // bytes into it
	Connections int   `json:"connections"` // that are open, or about to be
	Opened      int64 `json:"opened"`
	Denied      int64 `json:"denied"` // connections, and questions for names
	Failed      int64 `json:"failed"`
}

// ConnectionKind is what has become of a connection.
type ConnectionKind string

// The kinds.
const (
	ConnectionOpened ConnectionKind = "opened"
	ConnectionClosed ConnectionKind = "closed" // it was opened, and has ended by itself
	ConnectionCut    ConnectionKind = "cut"    // it was opened, and the policy has changed
	ConnectionDenied ConnectionKind = "denied"
	ConnectionFailed ConnectionKind = "failed" // it was allowed, and could not be made
)

// ConnectionCause says what decided.
type ConnectionCause string

// The causes.
const (
	CauseName        ConnectionCause = "name"        // the policy does not let this name be connected to
	CauseAddress     ConnectionCause = "address"     // nor this address, literally
	CauseShut        ConnectionCause = "shut"        // the address, or all that the name resolves to, are shut
	CausePort        ConnectionCause = "port"        // Limits.Ports
	CauseConnections ConnectionCause = "connections" // Limits.Connections
	CauseRequest     ConnectionCause = "request"     // what was asked of the proxy could not be understood
	CauseResolve     ConnectionCause = "resolve"     // the name has no address, or the servers of names do not answer
	CauseDial        ConnectionCause = "dial"        // nobody answers there
)
