package egress

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// shut are the ranges that no sandbox reaches unless its policy lists a part of one: what only this host can reach, or
// what it should not be asked from here. After the IANA special-purpose registries (RFC 6890), without those for
// documentation, which nobody answers at. An address for which clouds answer with credentials is a range of its own, so
// that listing what is around it does not open it.
var shut = prefixes(
	"0.0.0.0/8",          // this host
	"10.0.0.0/8",         // private
	"100.64.0.0/10",      // carriers' own, and overlays such as Tailscale's
	"100.100.100.200/32", // metadata of Alibaba Cloud
	"127.0.0.0/8",        // loopback
	"168.63.129.16/32",   // Azure's host, at a public address
	"169.254.0.0/16",     // link-local
	"169.254.169.254/32", // metadata of most clouds
	"169.254.170.2/32",   // credentials of Amazon's containers
	"169.254.170.23/32",  // and of its pods
	"172.16.0.0/12",      // private
	"192.0.0.0/24",       // protocol assignments; 192.0.0.192 is metadata of Oracle's cloud
	"192.88.99.0/24",     // relays of 6to4
	"192.168.0.0/16",     // private
	"198.18.0.0/15",      // benchmarks; here the addresses that we make up
	"224.0.0.0/4",        // multicast
	"240.0.0.0/4",        // reserved, and broadcast
	"::/96",              // unspecified, loopback, and IPv4 in its oldest clothes
	"64:ff9b:1::/48",     // translation to a private IPv4
	"100::/64",           // discard
	"2001::/32",          // Teredo: IPv4 inside
	"2002::/16",          // 6to4: IPv4 inside
	"fc00::/7",           // private
	"fd00:ec2::254/128",  // metadata of Amazon's cloud
	"fd20:ce::254/128",   // and of Google's
	"fe80::/10",          // link-local
	"fec0::/10",          // site-local, of old
	"ff00::/8",           // multicast
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// madeUp is the range of the addresses that stand for names.
var madeUp = netip.MustParsePrefix("198.18.0.0/15")

// The ranges of IPv6 in which IPv4 is wrapped.
var (
	compatible  = netip.MustParsePrefix("::/96")          // RFC 4291 section 2.5.5.1
	translated  = netip.MustParsePrefix("64:ff9b::/96")   // as a NAT64 shows it (RFC 6052)
	translated1 = netip.MustParsePrefix("64:ff9b:1::/48") // as one of the network's own does (RFC 8215), if it has a /96 of it
	sixToFour   = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")      // RFC 4380 section 4
)

// behind is a, and the addresses of IPv4 that a packet to a may be sent on to.
func behind(a netip.Addr) []netip.Addr {
	a = a.Unmap()
	all := []netip.Addr{a}
	if a.Is4() {
		return all
	}
	b := a.As16()
	v4 := func(b []byte) { all = append(all, netip.AddrFrom4([4]byte(b))) }
	switch {
	case a == netip.IPv6Unspecified() || a == netip.IPv6Loopback(): // wrap nothing
	case compatible.Contains(a) || translated.Contains(a) || translated1.Contains(a):
		v4(b[12:])
	case sixToFour.Contains(a):
		v4(b[2:6])
	case teredo.Contains(a):
		v4(b[4:8])                                 // the server
		v4([]byte{^b[12], ^b[13], ^b[14], ^b[15]}) // the client
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP, in any network (RFC 5214 section 6.1)
		v4(b[12:])
	}
	return all
}

// own knows the host's addresses: what listens on them may count on not being asked from outside.
type own struct {
	mu    sync.Mutex
	asked time.Time
	addrs map[netip.Addr]bool
}

const ownFor = 10 * time.Second // that an answer is believed: asking costs some 0.1 ms

func (o *own) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.asked.IsZero() || now.Sub(o.asked) > ownFor {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return true // nothing is known, so nothing is let through
		}
		o.asked, o.addrs = now, map[netip.Addr]bool{}
		for _, i := range addrs {
			if n, ok := i.(*net.IPNet); ok {
				if a, ok := netip.AddrFromSlice(n.IP); ok && !a.IsLoopback() { // that range is shut anyway
					o.addrs[a.Unmap()] = true
				}
			}
		}
	}
	return o.addrs[a]
}
