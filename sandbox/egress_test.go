package sandbox

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestEgressCheck(t *testing.T) {
	for _, e := range []Egress{
		{}, {Mode: EgressAllowAll, CIDRs: []string{"10.0.0.0/8", "127.0.0.1", "fd00::/8", "::1"}}, {Mode: EgressDenyAll}, {CIDRs: []string{"10.1.2.3"}},
		{Mode: EgressAllowList}, {Mode: EgressAllowList, Domains: []string{"example.com", "*.example.com", "Example.COM.", "xn--bcher-kva.example", "_a.b", "localhost"}},
	} {
		if err := e.Check(); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	list := func(domain string) Egress { return Egress{Mode: EgressAllowList, Domains: []string{domain}} }
	cidr := func(c string) Egress { return Egress{CIDRs: []string{c}} }
	for _, c := range []struct {
		e    Egress
		want string
	}{
		{Egress{Mode: "none"}, `"allow-list"`},
		{Egress{Domains: []string{"example.com"}}, `"allow-list"`},
		{Egress{Mode: EgressDenyAll, CIDRs: []string{"10.0.0.0/8"}}, "denies"},
		{list("*"), "first label"}, {list("a.*.b"), "first label"}, {list("*a.b"), "first label"}, {list("*.*.b"), "first label"},
		{list(""), "host name"}, {list("."), "host name"}, {list("a..b"), "host name"}, {list("https://a.b"), "without scheme"},
		{list("a.b:80"), "port"}, {list("a b"), "host name"}, {list("bücher.example"), "xn--"}, {list("a.b\x00"), "host name"},
		{list("10.0.0.1"), "cidrs"}, {list("127.1"), "host name"}, {list("::1"), "cidrs"}, {list("a.0x7f"), "host name"},
		{list(strings.Repeat("a", 64) + ".b"), "host name"}, {list(strings.Repeat("a.", 127) + "b"), "host name"},
		{cidr("10.0.0.1/8"), `"10.0.0.0/8"`}, {cidr("10.0.0.0/33"), "range"}, {cidr("example.com"), "range"}, {cidr("::ffff:10.0.0.0/104"), "IPv4"}, {cidr("fe80::1%eth0"), "range"},
	} {
		if err := c.e.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: want %q in: %v", c.e, c.want, err)
		}
	}
	if err := (Spec{ID: "a", Egress: list("*")}).Check(); CodeOf(err) != Invalid || !strings.Contains(err.Error(), "spec.egress: a: domains") {
		t.Errorf("a spec with a bad policy: %v", err)
	}
}

func TestEgressJSON(t *testing.T) {
	const text = `{"mode":"allow-list","domains":["example.com"],"cidrs":["192.0.2.0/24"]}`
	var e Egress
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	if want := (Egress{EgressAllowList, []string{"example.com"}, []string{"192.0.2.0/24"}}); !reflect.DeepEqual(e, want) {
		t.Errorf("have %+v", e)
	}
	if b, _ := json.Marshal(e); string(b) != text {
		t.Errorf("have %s", b)
	}
	c := Connection{Kind: ConnectionDenied, Name: "a.b", Why: CauseName}
	if b, _ := json.Marshal(c); string(b) != `{"time":"0001-01-01T00:00:00Z","kind":"denied","name":"a.b","why":"name"}` {
		t.Errorf("have %s", b)
	}
}

func TestParseCIDR(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "::1": "::1/128", "::ffff:10.1.2.3": "10.1.2.3/32"} {
		if got, err := ParseCIDR(in); err != nil || got.String() != want {
			t.Errorf("%s: have %v, %v", in, got, err)
		}
	}
}

func FuzzParseHostname(f *testing.F) {
	for _, s := range []string{"a.b", "A.B.", "127.1", "", "..", "0x7f.1", "a.b:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := ParseHostname(s)
		if !ok {
			return
		}
		if again, ok := ParseHostname(name); !ok || again != name {
			t.Errorf("%q gives %q, which gives %q", s, name, again)
		}
		if _, err := netip.ParseAddr(name); err == nil || name != strings.ToLower(name) || len(name) > 253 {
			t.Errorf("%q gives %q", s, name)
		}
	})
}
