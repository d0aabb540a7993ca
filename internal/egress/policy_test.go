package egress

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// judge says why nobody gets to host, which resolves to to (if it is a name).
func judge(t *testing.T, p *policy, host, to string, port uint16, own bool) sandbox.ConnectionCause {
	t.Helper()
	tg, err := parseTarget(host, port)
	if err != nil {
		return sandbox.CauseRequest
	}
	if why := p.forbids(tg); why != "" {
		return why
	}
	a := tg.addr
	if tg.name != "" {
		a = netip.MustParseAddr(to)
	}
	if !p.reaches(a.Unmap(), func(netip.Addr) bool { return own }) {
		return sandbox.CauseShut
	}
	return ""
}

func TestPolicy(t *testing.T) {
	const public = "93.184.216.34"
	list := sandbox.Egress{
		Mode: sandbox.EgressAllowList, Domains: []string{"example.com", "*.Example.org.", "internal.test"},
		CIDRs: []string{"192.0.2.0/24", "10.1.0.0/16", "0.0.0.0/0"},
	}
	small := sandbox.Egress{Mode: sandbox.EgressAllowList, CIDRs: []string{"8.8.8.8"}}
	for _, c := range []struct {
		e        sandbox.Egress
		host, to string
		want     sandbox.ConnectionCause
	}{
		{sandbox.Egress{}, "any.name", public, ""},
		{sandbox.Egress{}, public, "", ""},
		{sandbox.Egress{}, "any.name", "10.0.0.1", sandbox.CauseShut},
		{sandbox.Egress{}, "2606:4700::1111", "", ""},
		{sandbox.Egress{}, "127.1", "", sandbox.CauseRequest},
		{sandbox.Egress{}, "0x7f000001", "", sandbox.CauseRequest},
		{sandbox.Egress{}, "2130706433", "", sandbox.CauseRequest},
		{sandbox.Egress{}, "fe80::1%eth0", "", sandbox.CauseRequest},
		{sandbox.Egress{}, "a b", "", sandbox.CauseRequest},
		{sandbox.Egress{CIDRs: []string{"127.0.0.0/8"}}, "127.0.0.1", "", ""},
		{sandbox.Egress{CIDRs: []string{"169.254.0.0/16"}}, "169.254.1.1", "", ""},
		{sandbox.Egress{CIDRs: []string{"169.254.0.0/16"}}, "169.254.169.254", "", sandbox.CauseShut},
		{sandbox.Egress{CIDRs: []string{"169.254.169.254"}}, "169.254.169.254", "", ""},
		{sandbox.Egress{CIDRs: []string{"0.0.0.0/0", "::/0"}}, "10.0.0.1", "", sandbox.CauseShut},
		{sandbox.Egress{CIDRs: []string{"::1"}}, "::1", "", ""},
		{sandbox.Egress{CIDRs: []string{"2002::/16"}}, "2002:808:808::1", "", ""},
		{sandbox.Egress{CIDRs: []string{"2002::/16"}}, "2002:7f00:1::1", "", sandbox.CauseShut},
		{sandbox.Egress{}, "2600::5efe:a00:1", "", sandbox.CauseShut},
		{sandbox.Egress{Mode: sandbox.EgressDenyAll}, "any.name", public, sandbox.CauseName},
		{sandbox.Egress{Mode: sandbox.EgressDenyAll}, public, "", sandbox.CauseAddress},
		{list, "example.com", public, ""},
		{list, "EXAMPLE.com.", public, ""},
		{list, "www.example.com", public, sandbox.CauseName},
		{list, "notexample.com", public, sandbox.CauseName},
		{list, "example.com.evil.net", public, sandbox.CauseName},
		{list, "example.org", public, sandbox.CauseName},
		{list, "a.b.example.org", public, ""},
		{list, "evilexample.org", public, sandbox.CauseName},
		{list, "internal.test", "10.1.2.3", ""},
		{list, "internal.test", "10.2.2.3", sandbox.CauseShut},
		{list, "10.1.2.3", "", ""},
		{list, "10.2.2.3", "", sandbox.CauseShut},
		{list, "8.8.8.8", "", ""},
		{list, "2606:4700::1111", "", sandbox.CauseAddress},
		{small, "8.8.8.8", "", ""},
		{small, "8.8.4.4", "", sandbox.CauseAddress},
		{small, "dns.google", "8.8.8.8", sandbox.CauseName},
	} {
		p, err := compile(c.e, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := judge(t, p, c.host, c.to, 443, false); got != c.want {
			t.Errorf("%+v: %s (%s): %q, want %q", c.e, c.host, c.to, got, c.want)
		}
	}
}

// What nobody reaches by default, in all the forms in which one might ask for it.
func TestShut(t *testing.T) {
	p, err := compile(sandbox.Egress{}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.169.254",
		"169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001::1",
		"2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fec0::1", "ff02::1", "100::1",
	} {
		for host, to := range map[string]string{a: "", "a.name": a} {
			if got := judge(t, p, host, to, 80, false); got != sandbox.CauseShut {
				t.Errorf("%s (%s): %q", host, to, got)
			}
		}
	}
	for _, a := range []string{"1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "64:ff9b::101:101", "2600::1"} {
		if got := judge(t, p, a, "", 80, false); got != "" {
			t.Errorf("%s: %q", a, got)
		}
		if got := judge(t, p, a, "", 80, true); got != sandbox.CauseShut {
			t.Errorf("%s, which is the host's own: %q", a, got)
		}
	}
	if p, err = compile(sandbox.Egress{CIDRs: []string{"10.0.0.0/8", "10.0.0.5"}}, ""); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]sandbox.ConnectionCause{"10.0.0.4": sandbox.CauseShut, "10.0.0.5": ""} {
		if got := judge(t, p, a, "", 80, true); got != want {
			t.Errorf("%s, which is the host's own, where the range is open: %q, want %q", a, got, want)
		}
	}
}

// An address of the host is its own in each of the forms in which IPv6 wraps it, also where the range of that form is open.
func TestOwnInOtherClothes(t *testing.T) {
	own := netip.MustParseAddr("93.184.216.34") // 5db8:d822
	is := func(a netip.Addr) bool { return a == own }
	open := sandbox.Egress{CIDRs: []string{"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"}}
	opened := open
	opened.CIDRs = append([]string{own.String()}, open.CIDRs...)
	for _, s := range []string{
		"93.184.216.34", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "64:ff9b:1::5db8:d822", "2002:5db8:d822::1", "2001:0:5db8:d822::f7f7:f7f7",
		"2001:0:808:808::a247:27dd", "::5db8:d822", "2600::5efe:5db8:d822", "2600::200:5efe:5db8:d822",
	} {
		for e, want := range map[*sandbox.Egress]bool{&open: false, &opened: true} {
			p, err := compile(*e, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := p.reaches(netip.MustParseAddr(s), is); got != want {
				t.Errorf("%s, where %v is open: %v", s, e.CIDRs, got)
			}
		}
	}
}

func TestPorts(t *testing.T) {
	p, err := compile(sandbox.Egress{}, "80,8000-8001")
	if err != nil {
		t.Fatal(err)
	}
	for port, want := range map[uint16]sandbox.ConnectionCause{80: "", 8001: "", 443: sandbox.CausePort} {
		if got := judge(t, p, "a.name", "1.1.1.1", port, false); got != want {
			t.Errorf("%d: %q, want %q", port, got, want)
		}
	}
	for _, c := range []struct {
		e     sandbox.Egress
		ports string
	}{{sandbox.Egress{Mode: "x"}, ""}, {sandbox.Egress{}, "x"}} {
		if _, err := compile(c.e, c.ports); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// What the names of a controller that is no more stood for, is not what others stand for now.
func TestNamesBeginAnywhere(t *testing.T) {
	given := map[netip.Addr]bool{}
	for range 4 {
		a := newNames().address("a.name")
		if given[a] = true; !madeUp.Contains(a) {
			t.Errorf("given %v", a)
		}
	}
	if len(given) == 1 { // by chance that is so once in 10^15 times
		t.Errorf("all give %v", given)
	}
}

func TestNames(t *testing.T) {
	n := newNames()
	n.next = 0
	first := n.address("first.name")
	if first != netip.MustParseAddr("198.18.0.1") || n.address("first.name") != first || n.name(first) != "first.name" {
		t.Errorf("the first is %v, then %v, and stands for %q", first, n.address("first.name"), n.name(first))
	}
	given := map[netip.Addr]bool{first: true}
	for i := range 131070 - 1 {
		a := n.address(fmt.Sprintf("n%d", i))
		if given[a] || !madeUp.Contains(a) {
			t.Fatalf("%d: %v, given before: %v", i, a, given[a])
		}
		given[a] = true
		if i%1000 == 0 {
			n.name(first) // which somebody uses
		}
	}
	if n.name(first) != "first.name" || len(n.byName) != maxNames || len(n.byAddr) != maxNames || n.order.Len() != maxNames {
		t.Errorf("%q; %d and %d names", n.name(first), len(n.byName), len(n.byAddr))
	}
	if got := n.name(netip.MustParseAddr("198.18.0.2")); got != "" {
		t.Errorf("one that was not asked for stands for %q", got)
	}
	if a := n.address("after.a.round"); a == first || n.name(a) != "after.a.round" {
		t.Errorf("after a round: %v", a)
	}
}
