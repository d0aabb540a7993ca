package egress

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestDNS asks with Go's own resolver.
func TestDNS(t *testing.T) {
	w := newWorld(t)
	p := w.proxy(Config{Policy: allowTest})
	_, door := w.doors(p)
	r := net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, door)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, want := range map[string]string{"allowed.test.": "allowed.test", "X.sub.TEST.": "x.sub.test"} {
		a, err := r.LookupNetIP(ctx, "ip", name)
		if err != nil || len(a) != 1 || !madeUp.Contains(a[0].Unmap()) || p.names.name(a[0].Unmap()) != want {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	for _, name := range []string{"denied.test.", "sub.test.", "xsub.test."} {
		a, err := r.LookupNetIP(ctx, "ip", name)
		if e, ok := err.(*net.DNSError); !ok || !e.IsNotFound {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Name: "denied.test", Why: sandbox.CauseName})
	if _, err := r.LookupAddr(ctx, "198.18.0.1"); err == nil {
		t.Error("an address has a name")
	}
	if mx, err := r.LookupMX(ctx, "allowed.test."); err == nil || len(mx) > 0 {
		t.Errorf("MX: %v, %v", mx, err)
	}
}

// ask makes a packet that asks for a name, whose labels are given.
func ask(typ byte, labels ...string) []byte {
	b := []byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0, 0, typ, 0, 1)
}

func TestQuestions(t *testing.T) {
	w := newWorld(t)
	p := w.proxy(Config{Policy: allowTest})
	p.names.next = 0
	plain := ask(typeA, "allowed", "test")
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(plain); f(b); return b }
	for name, c := range map[string]struct {
		packet []byte
		rcode  int // -1 is no answer
		ip     string
	}{
		"good":               {plain, 0, "198.18.0.1"},
		"in mixed case":      {ask(typeA, "aLLowed", "TEST"), 0, "198.18.0.1"},
		"with more behind":   {append(bytes.Clone(plain), 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0), 0, "198.18.0.1"},
		"AAAA":               {ask(typeAAAA, "allowed", "test"), 0, ""},
		"localhost":          {ask(typeA, "localhost"), 0, "127.0.0.1"},
		"localhost, AAAA":    {ask(typeAAAA, "x", "localhost"), 0, "::1"},
		"denied":             {ask(typeA, "denied", "test"), 3, ""},
		"a dot in a label":   {ask(typeA, "allowed.test"), 1, ""},
		"a NUL in a label":   {ask(typeA, "allowed\x00", "test"), 3, ""},
		"reverse":            {ask(12, "1", "0", "18", "198", "in-addr", "arpa"), 3, ""},
		"the root":           {ask(typeA), 3, ""},
		"too long":           {ask(typeA, strings.Repeat("a", 63), strings.Repeat("a", 63), strings.Repeat("a", 63), strings.Repeat("a", 63), "test"), 1, ""},
		"an answer":          {edit(func(b []byte) { b[2] |= 0x80 }), -1, ""},
		"an update":          {edit(func(b []byte) { b[2] |= 5 << 3 }), 4, ""},
		"two questions":      {edit(func(b []byte) { b[5] = 2 }), 1, ""},
		"no question":        {edit(func(b []byte) { b[5] = 0 }), 1, ""},
		"another class":      {edit(func(b []byte) { b[len(b)-1] = 3 }), 5, ""},
		"a pointer":          {edit(func(b []byte) { b[dnsHeader] = 0xc0 }), 1, ""},
		"a label over all":   {edit(func(b []byte) { b[dnsHeader] = 63 }), 1, ""},
		"cut in the type":    {plain[:len(plain)-3], 1, ""},
		"cut in the name":    {plain[:dnsHeader+3], 1, ""},
		"the header alone":   {plain[:dnsHeader], 1, ""},
		"less than a header": {plain[:dnsHeader-1], -1, ""},
		"nothing":            {nil, -1, ""},
	} {
		q, err := parseQuestion(c.packet)
		if err != nil {
			if c.rcode != -1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		r := p.reply(q)
		if c.rcode == -1 || int(r[3]&0xf) != c.rcode || !bytes.Equal(r[:2], c.packet[:2]) || r[2]&0x80 == 0 {
			t.Errorf("%s: % x, want code %d", name, r, c.rcode)
		}
		want := []byte{}
		if c.ip != "" {
			want = netip.MustParseAddr(c.ip).AsSlice()
		}
		if r[7] != byte(min(1, len(want))) || !bytes.HasSuffix(r, want) {
			t.Errorf("%s: % x, want %s", name, r, c.ip)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(ask(typeA, "allowed", "test"))
	f.Add(ask(typeAAAA, "x", "localhost"))
	f.Add([]byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	f.Add([]byte{})
	p, err := New(Config{Policy: allowTest})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseQuestion(b)
		if err != nil {
			return
		}
		r := p.reply(q)
		if len(r) < dnsHeader || len(r) > len(b)+28 || r[2]&0x80 == 0 {
			t.Errorf("% x is answered % x", b, r)
		}
		if r[7] == 1 && !strings.HasSuffix(q.name, "localhost") && q.name != "allowed.test" && !strings.HasSuffix(q.name, ".sub.test") {
			t.Errorf("%q has an address", q.name)
		}
	})
}
