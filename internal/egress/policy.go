package egress

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// target is what a program wants to connect to: a name, or else an address.
type target struct {
	name string // as sandbox.ParseHostname gives it
	addr netip.Addr
	port uint16
}

// policy is a sandbox.Egress that can be asked.
type policy struct {
	mode  sandbox.EgressMode
	names map[string]bool // that may be connected to
	below map[string]bool // the names below these too
	cidrs []netip.Prefix
	ports []sandbox.Range // none is all
}

// compile makes a policy. Code: Invalid.
func compile(e sandbox.Egress, ports string) (*policy, error) {
	p := &policy{mode: e.Mode, names: map[string]bool{}, below: map[string]bool{}}
	if p.mode == "" {
		p.mode = sandbox.EgressAllowAll
	}
	var err error
	if p.ports, err = sandbox.ParseRanges(ports, 1, 1<<16-1); err == nil {
		err = e.Check()
	}
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "egress", Err: err}
	}
	for _, d := range e.Domains {
		name, below, _ := sandbox.ParseDomain(d)
		if below {
			p.below[name] = true
		} else {
			p.names[name] = true
		}
	}
	for _, s := range e.CIDRs {
		c, _ := sandbox.ParseCIDR(s)
		p.cidrs = append(p.cidrs, c)
	}
	return p, nil
}

// forbids says why t may not be connected to, as far as that can be told before a name is resolved; "" if it may.
func (p *policy) forbids(t target) sandbox.ConnectionCause {
	switch {
	case t.name != "" && !p.allows(t.name):
		return sandbox.CauseName
	case t.name == "" && !p.lists(t.addr):
		return sandbox.CauseAddress
	case len(p.ports) > 0 && !sandbox.Has(p.ports, int(t.port)):
		return sandbox.CausePort
	}
	return ""
}

// allows says whether a name may be connected to.
func (p *policy) allows(name string) bool {
	switch {
	case p.mode == sandbox.EgressAllowAll:
		return true
	case p.mode == sandbox.EgressDenyAll:
		return false
	case p.names[name]:
		return true
	}
	for {
		_, above, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if p.below[above] {
			return true
		}
		name = above
	}
}

// lists says whether an address may be connected to literally, were it not shut.
func (p *policy) lists(a netip.Addr) bool {
	if p.mode != sandbox.EgressAllowList {
		return p.mode == sandbox.EgressAllowAll
	}
	for _, c := range p.cidrs {
		if c.Contains(a) {
			return true
		}
	}
	return false
}

// reaches says whether an address, and what is behind it, is not shut, or the policy opens it. One of the host's own is shut
// by itself.
func (p *policy) reaches(a netip.Addr, own func(netip.Addr) bool) bool {
	for _, b := range behind(a) {
		for _, s := range shut {
			if s.Contains(b) && !p.opens(b, s) {
				return false
			}
		}
		if own(b) && !p.opens(b, netip.PrefixFrom(b, b.BitLen())) {
			return false
		}
	}
	return true
}

// opens says whether a part of the shut range s that has a is listed.
func (p *policy) opens(a netip.Addr, s netip.Prefix) bool {
	for _, c := range p.cidrs {
		if c.Contains(a) && c.Bits() >= s.Bits() && s.Contains(c.Addr()) {
			return true
		}
	}
	return false
}

// parseTarget reads the name or address that a program asks for.
func parseTarget(host string, port uint16) (target, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return target{}, errors.New("an address with a zone is one of the host's own network")
		}
		return target{addr: a.Unmap(), port: port}, nil
	}
	name, ok := sandbox.ParseHostname(host)
	if !ok {
		return target{}, errors.New("that is neither a host name nor an address")
	}
	return target{name: name, port: port}, nil
}
