package server_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestNamesOfTheServer(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	told := []string{"box.example.com", "Other.Example."}
	for host, want := range map[string]bool{
		"": true, "localhost": true, "localhost:39222": true, "LocalHost.": true, "127.0.0.1:1": true, "192.0.2.7": true, "192.0.2.7.": true,
		"::1": true, "[::1]:80": true, "[fe80::1%eth0]:80": true, "[::ffff:192.0.2.7]:80": true, "openhands-runtime-1:3000": true, "app.localhost:3000": true,
		"host.docker.internal:3000": true, "sb-1.default.svc.cluster.local": true, machine: true, machine + ":80": true,
		"box.example.com:3000": true, "BOX.example.com.": true, "other.example": true,
		"evil.example": false, "evil.example:3000": false, "evil.example.:3000": false, "a.box.example.com": false, "example.com": false,
		"127.0.0.1.nip.io": false, "127.0.0.1.evil.example": false, "localhost.evil.example:80": false, "evil.locals": false, "1.2.3.4.5": false,
		"a.b:1:2": false, "x@evil.example": false,
	} {
		if got := server.IsOwnName(host, told); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

// A page that has its own name lead to a server without a key learns nothing from it, over TCP, which is all it reaches.
func TestDNSRebinding(t *testing.T) {
	for _, c := range []struct {
		key, host, path string
		status          int
	}{
		{"", "evil.example", wire.PathPorts, http.StatusForbidden},
		{"", "evil.example", "/download_files?path=/etc", http.StatusForbidden},
		{"", "evil.example", "/alive", http.StatusOK},
		{"", "localhost", wire.PathPorts, http.StatusOK},
		{"", "host.docker.internal", wire.PathPorts, http.StatusOK},
		{"", "box.example", wire.PathPorts, http.StatusOK},
		{key, "evil.example", wire.PathPorts, http.StatusOK}, // who has the key is nobody's page
	} {
		b := start(t, func(s *server.Config) { s.Key, s.Hosts = c.key, []string{"box.example"} })
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- b.Serve(ln) }()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+ln.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		r.Header.Set(wire.HeaderKey, c.key)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status || c.status == http.StatusForbidden && !strings.Contains(string(body), "--host") {
			t.Errorf("%s by %s: %d %s, want %d", c.path, c.host, response.StatusCode, body, c.status)
		}
		onSocket := b.request("GET", wire.PathPorts, "")
		onSocket.Host = c.host
		if status, body := b.send(onSocket); status != http.StatusOK {
			t.Errorf("on a Unix socket: %d %s", status, body)
		}
		b.stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
