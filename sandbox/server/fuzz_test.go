package server_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// FuzzBodies sends bodies to every route that reads one: whatever comes, the answer is a clear one and the server lives.
// Commands that are valid do run, so none is among the seeds but harmless ones, and nothing else is in the sandbox.
func FuzzBodies(f *testing.F) {
	paths := []string{"/execute_action", wire.PathActions + "ID", "/list_files", "/update_mcp_server", "/upload_file?destination=/none/such"}
	for i := range paths {
		f.Add(uint8(i), []byte(`{"action":{"action":"read","args":{"path":"f"}}}`))
		f.Add(uint8(i), []byte(`{"action":"read","args":{"path":"f","start":-5,"view_range":[1,2]}}`))
		f.Add(uint8(i), []byte(`{"action":"edit","args":{"path":"/none/f","command":"view"},"timeout":1e400,"id":"x"}`))
		f.Add(uint8(i), []byte(`{"path":"\u0000"}`))
		f.Add(uint8(i), []byte(`[{"name":"x","command":"y","args":[]}]`))
		f.Add(uint8(i), []byte("\xff\xfe{"))
		f.Add(uint8(i), bytes.Repeat([]byte("["), 20_000))
	}
	var panicked panics
	b := start(f, func(c *server.Config) { c.Log = slog.New(slog.NewTextHandler(&panicked, nil)) })
	next := b.client.Transport.(documented).next
	f.Fuzz(func(t *testing.T, route uint8, body []byte) {
		if bytes.Contains(body, []byte("run")) || bytes.Contains(body, []byte("write")) || bytes.Contains(body, []byte(`\u`)) || bytes.Contains(body, []byte("create")) {
			t.Skip("it could have an effect outside the sandbox's directory")
		}
		path := paths[int(route)%len(paths)]
		if path == wire.PathActions+"ID" {
			path = wire.PathActions + sandbox.NewActionID()
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://sandbox"+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(wire.HeaderKey, key)
		response, err := documented{t, next}.RoundTrip(r) // told to t: f may not be, here
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if s := response.StatusCode; s != 200 && s != 400 && s != 422 && s != 500 && s != 501 {
			t.Errorf("status %d", s)
		}
		if panicked.Swap(false) {
			t.Error("it panicked")
		}
	})
}

// panics is a log that only remembers whether there was a panic.
type panics struct{ atomic.Bool }

func (p *panics) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panicked")) {
		p.Store(true)
	}
	return len(line), nil
}
