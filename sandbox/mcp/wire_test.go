package mcp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/mcp"
)

// stream opens an SSE stream and reads its events.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	r    *bufio.Reader
}

func openStream(t *testing.T, c *http.Client, path string) (*stream, *http.Response) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://hub"+path, nil)
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return &stream{t, res.Body, bufio.NewReader(res.Body)}, res
}

// event reads the next event: its lines.
func (s *stream) event() []string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", lines, err)
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

func post(t *testing.T, c *http.Client, path, contentType, body string) (status int, text string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hub"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

var endpoint = regexp.MustCompile(`^data: (/mcp/messages/\?session_id=[0-9a-f]{32})$`)

func initialize(version string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, version)
}

func TestWireOfSSE(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	c := overHub(t, h)
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18"} {
		s, res := openStream(t, c, "/mcp/sse")
		if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || !strings.HasPrefix(got, "text/event-stream") {
			t.Fatalf("%d, %s", res.StatusCode, got)
		}
		first := s.event()
		m := endpoint.FindStringSubmatch(first[len(first)-1])
		if len(first) != 2 || first[0] != "event: endpoint" || m == nil {
			t.Fatalf("the first event is %q", first)
		}
		if status, text := post(t, c, m[1], "application/json", initialize(version)); status != 202 || text != "Accepted" {
			t.Errorf("a message is answered by %d %q", status, text)
		}
		if got := s.event(); got[0] != "event: message" || !strings.Contains(got[1], `"protocolVersion":"`+version+`"`) {
			t.Errorf("initialize is answered by %q", got)
		}
		for _, message := range []string{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":"x","method":"no/such"}`} {
			if status, _ := post(t, c, m[1], "application/json; charset=utf-8", message); status != 202 {
				t.Errorf("%s: %d", message, status)
			}
		}
		if got := s.event(); !strings.Contains(got[1], `"id":"x"`) || !strings.Contains(got[1], `-32601`) {
			t.Errorf("an unknown method is answered by %q", got)
		}
		s.body.Close()
	}
}

func TestRefusalsOfSSE(t *testing.T) {
	h := open(t)
	c := overHub(t, h)
	s, _ := openStream(t, c, "/sse")
	messages := strings.TrimPrefix(s.event()[1], "data: ")
	for _, x := range []struct {
		name, path, contentType, body string
		status                        int
		text                          string
	}{
		{"no id", "/mcp/messages/", "application/json", "{}", 400, "session_id is required"},
		{"no hex", "/mcp/messages/?session_id=xyz", "application/json", "{}", 400, "Invalid session ID"},
		{"unknown", "/mcp/messages/?session_id=" + strings.Repeat("0", 32), "application/json", "{}", 404, "Could not find session"},
		{"unknown, without a slash", "/messages?session_id=" + strings.Repeat("0", 32), "application/json", "{}", 404, "Could not find session"},
		{"no JSON", messages, "application/json", "{", 400, "Could not parse message"},
		{"no message", messages, "application/json", `{"a":1}`, 400, "Could not parse message"},
		{"a form", messages, "application/x-www-form-urlencoded", "a=1", 400, "Invalid Content-Type header"},
		{"too long", messages, "application/json", `"` + strings.Repeat("x", 17<<20) + `"`, 413, "A message has at most 16777216 bytes"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if status, text := post(t, c, x.path, x.contentType, x.body); status != x.status || text != x.text {
				t.Errorf("got %d %q, want %d %q", status, text, x.status, x.text)
			}
		})
	}
	if status, _ := post(t, c, "/mcp/sse", "application/json", "{}"); status != 405 {
		t.Errorf("a POST to the stream: %d", status)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	h := open(t)
	c := overHub(t, h)
	var first *stream
	for i := range 64 {
		s, res := openStream(t, c, "/sse")
		if s.event(); res.StatusCode != 200 {
			t.Fatalf("session %d: %d", i, res.StatusCode)
		}
		if first == nil {
			first = s
		}
	}
	_, res := openStream(t, c, "/sse")
	if status, _ := post(t, c, "/mcp", "application/json", initialize("2025-06-18")); res.StatusCode != 503 || status != 503 {
		t.Errorf("one too many: %d, %d", res.StatusCode, status)
	}
	first.body.Close() // makes room
	for deadline := time.Now().Add(20 * time.Second); res.StatusCode != 200 && time.Now().Before(deadline); _, res = openStream(t, c, "/sse") {
	}
	if res.StatusCode != 200 {
		t.Errorf("after one has gone: %d", res.StatusCode)
	}
}

func TestPagesOfOthersAreRefused(t *testing.T) {
	h := open(t)
	c := overHub(t, h)
	for origin, want := range map[string]int{"": 200, "http://localhost:3000": 200, "http://127.0.0.1": 200, "http://[::1]:1": 200, "http://192.0.2.1": 403,
		"https://evil.example": 403, "null": 403, "http://localhost.evil.example": 403} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://hub/sse", nil)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("origin %q: %d, want %d", origin, res.StatusCode, want)
		}
	}
}

func TestHubOpensManyAndClosesAll(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	for range 3 {
		connect(t, h, "/mcp", nil)
		connect(t, h, "/sse", nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { // ends with the hub
		_, err := h.Call(ctx, "wait", nil)
		done <- err
	}()
	until(t, h, in(mcp.Ready))
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
