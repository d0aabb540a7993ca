package egress

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

var allowTest = sandbox.Egress{Mode: sandbox.EgressAllowList, Domains: []string{"allowed.test", "*.sub.test"}}

func TestTunnel(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "allowed.test", "denied.test", "a.sub.test")
	w.zone["gone.test"] = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	p := w.proxy(Config{Policy: allowTest, Limits: sandbox.Limits{Ports: "443,8443"}})
	door, _ := w.doors(p)
	for _, to := range []string{"allowed.test:443", "ALLOWED.test.:8443", "a.sub.test:443"} {
		c, r, status, text := w.tunnel(door, to)
		if status != 200 {
			t.Fatalf("%s: %d %s", to, status, text)
		}
		fmt.Fprintln(c, "hello")
		if line, err := r.ReadString('\n'); line != "hello\n" {
			t.Errorf("%s: %q, %v", to, line, err)
		}
		c.(*net.TCPConn).CloseWrite() // half: what is on its way still comes
		if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
			t.Errorf("%s: at the end %q, %v", to, rest, err)
		}
	}
	for to, want := range map[string]struct {
		status int
		text   string
	}{
		"denied.test:443":      {403, "denied.test"},
		"sub.test:443":         {403, "sub.test"},
		"93.184.216.34:443":    {403, "93.184.216.34"},
		"[::1]:443":            {403, "::1"},
		"allowed.test:80":      {403, "port 80"},
		"allowed.test:0":       {400, "port"},
		"allowed.test":         {400, "HOST:PORT"},
		"127.1:443":            {400, "127.1"},
		"unknown.sub.test:443": {502, "does not resolve"},
	} {
		if _, _, status, text := w.tunnel(door, to); status != want.status || !strings.Contains(text, want.text) {
			t.Errorf("%s: %d %q, want %d and %q", to, status, text, want.status, want.text)
		}
	}
	opened := w.wait(sandbox.Connection{Kind: sandbox.ConnectionOpened, Name: "a.sub.test"})
	if opened.Addr != public || opened.Port != 443 || opened.Time.IsZero() {
		t.Errorf("told %+v", opened)
	}
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Name: "denied.test", Why: sandbox.CauseName})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Why: sandbox.CauseAddress})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Why: sandbox.CausePort})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Why: sandbox.CauseRequest})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionFailed, Why: sandbox.CauseResolve})
	closed := w.wait(sandbox.Connection{Kind: sandbox.ConnectionClosed, Name: "allowed.test"})
	if closed.Sent != 6 || closed.Received != 6 || closed.Took <= 0 {
		t.Errorf("told %+v", closed)
	}
	if u := p.Traffic(); u.Sent != 18 || u.Received != 18 || u.Opened != 3 || u.Denied != 8 || u.Failed != 1 {
		t.Errorf("used %+v", u)
	}
}

// What a name resolves to is not the sandbox's to choose, even where the name is.
func TestRebinding(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "mixed.test")
	for name, a := range map[string]string{
		"loop.test": "127.0.0.1", "meta.test": "169.254.169.254", "mapped.test": "::ffff:10.0.0.1", "six.test": "::1", "nat64.test": "64:ff9b::a9fe:a9fe",
	} {
		w.zone[name] = []netip.Addr{netip.MustParseAddr(a)}
	}
	w.zone["mixed.test"] = []netip.Addr{netip.MustParseAddr("127.0.0.1"), public}
	p := w.proxy(Config{})
	door, _ := w.doors(p)
	for name := range w.zone {
		_, _, status, text := w.tunnel(door, name+":80")
		if name == "mixed.test" && status != 200 || name != "mixed.test" && (status != 403 || !strings.Contains(text, "private")) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Name: "meta.test", Why: sandbox.CauseShut})
	if len(w.dialled) != 1 || w.dialled[0].Addr() != public {
		t.Errorf("connected to %v", w.dialled)
	}
}

// Addresses are tried in turn, those of IPv4 first.
func TestAddressesInTurn(t *testing.T) {
	w := newWorld(t)
	w.server(echo, "many.test")
	six, dead := netip.MustParseAddr("2606:4700::1111"), netip.MustParseAddr("203.0.113.1")
	w.zone["many.test"] = []netip.Addr{six, dead, netip.MustParseAddr("10.0.0.1"), public}
	door, _ := w.doors(w.proxy(Config{}))
	if _, _, status, text := w.tunnel(door, "many.test:80"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if len(w.dialled) != 2 || w.dialled[0].Addr() != dead || w.dialled[1].Addr() != public {
		t.Errorf("tried %v", w.dialled)
	}
}

// TestHTTP drives the first door with Go's client, as programs with HTTP_PROXY and HTTPS_PROXY do.
func TestHTTP(t *testing.T) {
	w := newWorld(t)
	var seen http.Header
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = r.Header.Clone()
		fmt.Fprintf(rw, "%s %s %s %s %v", r.Method, r.Host, r.URL, b, r.Trailer)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	w.zone["allowed.test"] = []netip.Addr{public}
	w.zone["example.com"] = []netip.Addr{netip.MustParseAddr("93.184.216.35")} // for which the test's certificate is
	w.servers[public] = plain.Listener.Addr().String()
	w.servers[w.zone["example.com"][0]] = secure.Listener.Addr().String()
	policy := sandbox.Egress{Mode: sandbox.EgressAllowList, Domains: []string{"allowed.test", "example.com"}}
	door, _ := w.doors(w.proxy(Config{Policy: policy}))
	client := secure.Client()
	tr := client.Transport.(*http.Transport)
	tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: door})
	tr.DialContext = nil // that of the test's server
	defer tr.CloseIdleConnections()
	do := func(method, url, body string, set func(*http.Request)) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if set != nil {
			set(r)
		}
		a, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer a.Body.Close()
		b, _ := io.ReadAll(a.Body)
		return a.StatusCode, string(b)
	}
	for range 2 { // the second one must not go over the first one's connection to somewhere else
		if status, text := do("GET", "http://allowed.test/a?b=c", "", nil); status != 200 || text != "GET allowed.test /a?b=c  map[]" {
			t.Errorf("plain: %d %q", status, text)
		}
		if status, text := do("GET", "http://denied.test/", "", nil); status != 403 || !strings.Contains(text, "denied.test") {
			t.Errorf("plain, denied: %d %q", status, text)
		}
	}
	status, text := do("POST", "http://allowed.test:80/p", "some", func(r *http.Request) {
		r.ContentLength = -1 // in chunks
		r.Header.Set("Proxy-Authorization", "Basic c2VjcmV0")
		r.Header.Set("X-Hop", "1")
		r.Header.Set("X-Kept", "1")
		r.Header.Set("Connection", "X-Hop")
	})
	if status != 200 || !strings.HasPrefix(text, "POST ") || !strings.Contains(text, " some ") {
		t.Errorf("in chunks: %d %q", status, text)
	}
	if seen.Get("Proxy-Authorization") != "" || seen.Get("X-Hop") != "" || seen.Get("X-Kept") != "1" || seen.Get("Connection") != "close" {
		t.Errorf("the server saw %v", seen)
	}
	if status, text := do("PUT", "https://example.com/s", "secret", nil); status != 200 || !strings.HasPrefix(text, "PUT example.com /s secret") {
		t.Errorf("TLS: %d %q", status, text)
	}
	if _, text := do("GET", "https://denied.test/", "", nil); !strings.Contains(text, "Forbidden") {
		t.Errorf("TLS, denied: %q", text)
	}
}

// A request that says in two places where it goes goes where the first one says.
func TestHostDecidesNothing(t *testing.T) {
	w := newWorld(t)
	heads := make(chan string, 1)
	w.server(func(c net.Conn) {
		var head strings.Builder
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			head.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		heads <- head.String()
	}, "allowed.test")
	door, _ := w.doors(w.proxy(Config{Policy: allowTest}))
	c, err := net.Dial("tcp", door)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET http://me:secret@allowed.test/x?y HTTP/1.0\r\nHost: denied.test\r\nA: b\r\n\r\n")
	if got, want := <-heads, "GET /x?y HTTP/1.0\r\nHost: allowed.test\r\nA: b\r\nConnection: close\r\n\r\n"; got != want {
		t.Errorf("the server got %q, want %q", got, want)
	}
}

func TestBadHeads(t *testing.T) {
	w := newWorld(t)
	door, _ := w.doors(w.proxy(Config{}))
	for name, head := range map[string]string{
		"nonsense": "hello\r\n\r\n", "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "TLS": "\x16\x03\x01\x00\x05hello\r\n\r\n", "SOCKS": "\x05\x01\x00\r\n\r\n",
		"origin form": "GET / HTTP/1.1\r\nHost: a.b\r\n\r\n", "scheme": "GET ftp://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"too large": "GET http://a.b/ HTTP/1.1\r\nA: " + strings.Repeat("a", maxHead) + "\r\n\r\n",
	} {
		c, err := net.Dial("tcp", door)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, head)
		b, err := io.ReadAll(c)
		if !strings.HasPrefix(string(b), "HTTP/1.1 400 ") && name != "too large" { // of which the kernel may drop the answer
			t.Errorf("%s: %q, %v", name, b, err)
		}
		c.Close()
	}
}
