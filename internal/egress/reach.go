package egress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	resolvePatience = 10 * time.Second
	dialPatience    = 30 * time.Second // for all addresses of a name together
	maxAddrs        = 16               // of a name that are looked at
)

// reach finds an address of t that may be connected to and connects.
func (f *flow) reach(t target) (net.Conn, netip.Addr, *refusal) {
	p := f.proxy
	p.mu.Lock()
	why := p.policy.forbids(t)
	if why == "" {
		f.decided, f.target = true, t // a change of the policy looks at it from now on
	}
	p.mu.Unlock()
	if why != "" {
		return nil, netip.Addr{}, &refusal{why: why}
	}
	addrs := []netip.Addr{t.addr}
	if t.name != "" {
		ctx, cancel := context.WithTimeout(f.ctx, resolvePatience)
		defer cancel()
		var err error
		if addrs, err = p.config.Resolve(ctx, t.name); err != nil || len(addrs) == 0 {
			return nil, netip.Addr{}, &refusal{sandbox.CauseResolve, fmt.Errorf("%s does not resolve", t.name)}
		}
	}
	addrs = p.open(addrs)
	if len(addrs) == 0 {
		return nil, netip.Addr{}, &refusal{why: sandbox.CauseShut}
	}
	return f.dial(addrs, t.port)
}

// open gives those of the addresses that are not shut, those of IPv4 first: they are what a program in the sandbox has asked
// for, and a host whose IPv6 leads nowhere would have it wait.
func (p *Proxy) open(addrs []netip.Addr) []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	var open []netip.Addr
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		if a = a.Unmap().WithZone(""); p.policy.reaches(a, p.own.has) {
			open = append(open, a)
		}
	}
	slices.SortStableFunc(open, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return open
}

// dial tries one address after the other, each with its share of the time.
func (f *flow) dial(addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, *refusal) {
	deadline := time.Now().Add(dialPatience)
	var errs error
	for i, a := range addrs {
		ctx, cancel := context.WithTimeout(f.ctx, time.Until(deadline)/time.Duration(len(addrs)-i))
		c, err := f.proxy.config.Dial(ctx, netip.AddrPortFrom(a, port))
		cancel()
		if err == nil {
			return c, a, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, netip.Addr{}, &refusal{sandbox.CauseDial, errs}
}

// resolve asks the system for a name, and not for that name with the host's search domains behind it.
func resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name+".")
}

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to.String())
}
