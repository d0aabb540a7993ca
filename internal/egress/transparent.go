package egress

import (
	"net/netip"

	"github.com/sandtree/sandtree/sandbox"
)

// redirected serves a connection that was on its way elsewhere.
func (p *Proxy) redirected(f *flow) {
	to, err := original(f.inside)
	if err != nil {
		p.deny(sandbox.Connection{Why: sandbox.CauseRequest})
		reset(f.inside)
		return
	}
	t := target{addr: to.Addr(), port: to.Port()}
	if madeUp.Contains(t.addr) {
		if t = (target{name: p.names.name(t.addr), port: t.port}); t.name == "" { // forgotten, or never given
			p.deny(sandbox.Connection{Addr: to.Addr(), Port: to.Port(), Why: sandbox.CauseAddress})
			reset(f.inside)
			return
		}
	}
	if f.connect(t) != nil {
		reset(f.inside) // the program knows of no proxy, so there is no word for it
		return
	}
	f.pump(nil)
}

// addrPort makes an address of the bytes of a sockaddr_in.
func addrPort(sa [8]byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), uint16(sa[2])<<8|uint16(sa[3]))
}
