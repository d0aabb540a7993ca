package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	resolvePatience = 10 * time.Second
	dialPatience    = 30 * time.Second // for all addresses of a name together
	maxAddrs        = 8                // of a name that are tried
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

// open gives those of the addresses that are not shut.
func (p *Proxy) open(addrs []netip.Addr) []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	var open []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); p.policy.reaches(a, p.own.has(a)) && len(open) < maxAddrs {
			open = append(open, a)
		}
	}
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
