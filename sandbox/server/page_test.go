package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

// Where no key is asked for, a page that the sandbox's own browser shows still commands nothing.
func TestPagesOfStrangersCommandNothing(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Key = "" })
	port := need.Port(t)
	for _, c := range []struct {
		origin, path string
		status       int
	}{
		{"", "/execute_action", http.StatusOK},
		{"http://localhost:3000", "/execute_action", http.StatusOK},
		{"http://127.0.0.1", "/execute_action", http.StatusOK},
		{"https://evil.example", "/execute_action", http.StatusForbidden},
		{"http://sandbox", "/execute_action", http.StatusForbidden}, // of this host by a name, which may be anybody's
		{"http://192.0.2.1", "/execute_action", http.StatusForbidden},
		{"null", "/execute_action", http.StatusForbidden},
		{"https://evil.example", wire.PathLease, http.StatusForbidden},
		{"https://evil.example", fmt.Sprintf("%s/%d/x", wire.PathPorts, port), http.StatusForbidden},
		{"http://sandbox", fmt.Sprintf("%s/%d/x", wire.PathPorts, port), http.StatusServiceUnavailable}, // nobody listens
		{"https://evil.example", "/alive", http.StatusOK},
	} {
		method, headers := "POST", []string{}
		if c.path == "/alive" {
			method = "GET"
		}
		if c.origin != "" {
			headers = append(headers, "Origin", c.origin)
		}
		if status, got := b.do(method, c.path, `{"action":{"action":"run","args":{"command":"echo hi"}}}`, headers...); status != c.status {
			t.Errorf("%s from %q: %d %s, want %d", c.path, c.origin, status, got, c.status)
		}
	}
}
