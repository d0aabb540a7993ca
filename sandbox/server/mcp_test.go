package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

// bearing is a client as OpenHands' is: it brings the key in all ways.
type bearing struct {
	http.RoundTripper
	token string
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(wire.HeaderKey, key)
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// tools connects an MCP client to a path.
func (b *box) tools(path string) *sdk.ClientSession {
	b.t.Helper()
	client := &http.Client{Transport: bearing{b.client.Transport, key}}
	var transport sdk.Transport = &sdk.StreamableClientTransport{Endpoint: "http://sandbox" + path, HTTPClient: client}
	if strings.HasSuffix(path, "/sse") {
		transport = &sdk.SSEClientTransport{Endpoint: "http://sandbox" + path, HTTPClient: client}
	}
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, nil).Connect(b.t.Context(), transport, nil)
	if err != nil {
		b.t.Fatalf("connect to %s: %v", path, err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func element(t testing.TB, name string, args ...string) string {
	t.Helper()
	node, script := need.MCP(t, name)
	b, _ := json.Marshal(map[string]any{"name": name, "command": node, "args": append([]string{script}, args...), "env": map[string]string{}})
	return string(b)
}

func toolNames(t testing.TB, s *sdk.ClientSession) []string {
	t.Helper()
	r, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range r.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func TestToolsAsOpenHandsClientsUseThem(t *testing.T) {
	b := start(t, nil)
	update := func(elements ...string) {
		t.Helper()
		status, body := b.do("POST", "/update_mcp_server", "["+strings.Join(elements, ",")+"]")
		if want := `{"detail":"MCP server updated successfully","router_error_log":""}`; status != 200 || strings.TrimSpace(body) != want {
			t.Fatalf("%d %s", status, body)
		}
	}
	update(element(t, "everything"))
	for _, path := range []string{"/mcp/sse", "/sse", "/mcp", "/v1/mcp"} {
		s := b.tools(path)
		if got := toolNames(t, s); !slices.Contains(got, "echo") {
			t.Errorf("%s: tools %q", path, got)
		}
		r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"message": "x"}})
		if err != nil || len(r.Content) != 1 || r.Content[0].(*sdk.TextContent).Text != "Echo: x" {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
	update(element(t, "everything"), element(t, "filesystem", b.dir))
	if got := toolNames(t, b.tools("/mcp/sse")); !slices.Contains(got, "filesystem_write_file") || !slices.Contains(got, "everything_echo") {
		t.Errorf("after the second update: %q", got)
	}
}

func TestUpdatesThatAreRefused(t *testing.T) {
	b := start(t, nil)
	const generic = "An unexpected error occurred. Please try again later."
	for body, want := range map[string]string{
		`{}`: "Request must be a list of MCP tools to sync", `"x"`: "Request must be a list of MCP tools to sync", `null`: "Request must be a list of MCP tools to sync",
		``: generic, `[`: generic, `[1]`: generic, `[{"name":"a b","command":"c"}]`: generic, `[{"name":"a","command":"c d"}]`: generic, "[\"\xff\"]": generic,
	} {
		status, got := b.do("POST", "/update_mcp_server", body)
		if wantStatus := 400 + 100*b2i(want == generic); status != wantStatus || detailOf(t, got) != want {
			t.Errorf("%q: %d %s, want %d %q", body, status, got, wantStatus, want)
		}
	}
	status, got := b.do("POST", "/update_mcp_server", `[{"name":"a","command":"no-such-program"}]`)
	if status != 200 || !strings.Contains(got, `no program \"no-such-program\" in PATH`) {
		t.Errorf("a program that is not there: %d %s", status, got)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestToolsNeedTheKeyTwice(t *testing.T) {
	b := start(t, nil)
	for _, path := range []string{"/mcp/sse", "/sse", "/mcp", "/mcp/messages/?session_id=0", "/messages/"} {
		if status, body := b.do("GET", path, "", wire.HeaderKey, ""); status != 403 || detailOf(t, body) != "Invalid API Key" {
			t.Errorf("%s without a key: %d %s", path, status, body)
		}
		r, body := b.ask("GET", path, "")
		if r.StatusCode != 401 || !strings.Contains(body, `"error": "invalid_token"`) || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) {
			t.Errorf("%s without a token: %d %s", path, r.StatusCode, body)
		}
		if status, _ := b.do("GET", path, "", "Authorization", "Bearer wrong"); status != 401 {
			t.Errorf("%s with a wrong token: %d", path, status)
		}
	}
	if status, body := b.do("POST", "/mcp/messages/", "{}", "Authorization", "bearer "+key, "Content-Type", "application/json"); status != 400 || body != "session_id is required" {
		t.Errorf("with both: %d %s", status, body)
	}
}

func toolCall(name, args string) sandbox.MCPArgs {
	return sandbox.MCPArgs{Name: name, Arguments: json.RawMessage(args)}
}

func TestToolAsAnAction(t *testing.T) {
	node, script := need.MCP(t, "everything")
	b := start(t, func(c *server.Config) {
		c.MCP = []mcp.Server{{Name: "everything", Command: node, Args: []string{script}}}
	})
	if status, body := b.do("GET", wire.PathMCP, ""); status != 200 || !strings.Contains(body, `"state":"idle"`) {
		t.Errorf("before its use: %d %s", status, body)
	}
	s := b.native("a", toolCall("echo", `{"message":"hi"}`))
	if s.err != nil || !strings.Contains(s.Content, `"text":"Echo: hi"`) || !strings.Contains(s.Content, `"isError":false`) || s.Kind() != sandbox.KindMCPResult {
		t.Errorf("%+v", s)
	}
	if again := b.again("a", 0); again.Content != s.Content {
		t.Errorf("asked again: %+v", again)
	}
	if s := b.native("b", toolCall("nothing", `{}`)); sandbox.CodeOf(s.err) != sandbox.NotFound || !strings.Contains(s.err.Error(), "echo") {
		t.Errorf("an unknown tool: %+v", s)
	}
	if status, body := b.execute(`{"action":"call_tool_mcp","args":{"name":"echo","arguments":{}}}`); status != 500 ||
		detailOf(t, body) != "Internal server error: 'ActionExecutor' object has no attribute 'call_tool_mcp'" {
		t.Errorf("in the form that clients never send: %d %s", status, body)
	}
	if status, body := b.do("GET", wire.PathMCP+wire.SuffixTools, ""); status != 200 || !strings.Contains(body, `"name":"echo","server":"everything"`) {
		t.Errorf("tools: %d %s", status, body)
	}
}

func TestToolCallsEndWhenTheyAreTold(t *testing.T) {
	node, script := need.MCP(t, "everything")
	b := start(t, func(c *server.Config) {
		c.MCP = []mcp.Server{{Name: "everything", Command: node, Args: []string{script}}}
	})
	b.native("up", toolCall("echo", `{"message":"hi"}`))
	long := toolCall("trigger-long-running-operation", `{"duration":60,"steps":60}`)
	body := string(wire.AppendAction(nil, sandbox.Action{Args: long, Timeout: 200 * time.Millisecond}))
	s := b.follow(b.request("POST", wire.PathActions+"slow", body))
	if s.err != nil || !strings.Contains(s.Content, `"isError":true`) || !strings.Contains(s.Content, "Timed out") {
		t.Errorf("beyond its time: %+v", s)
	}
	over := make(chan seen, 1)
	go func() { over <- b.native("long", long) }()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if status, _ := b.do("POST", wire.PathActions+"long"+wire.SuffixInterrupt, ""); status == http.StatusNoContent {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("it cannot be interrupted")
		}
	}
	if s := <-over; s.err != nil || !strings.Contains(s.Content+fmt.Sprint(s.Result), "interrupted") {
		t.Errorf("interrupted: %+v", s)
	}
	// They hold up nobody, and end with the server.
	go func() { over <- b.native("last", long) }()
	if s := b.native("meanwhile", run("echo free")); s.exit() != 0 {
		t.Errorf("a command meanwhile: %+v", s)
	}
	b.stop()
	if s := <-over; !s.Interrupted() {
		t.Errorf("when the server stops: %+v", s)
	}
}

func TestToolServersAreConfiguredNatively(t *testing.T) {
	b := start(t, nil)
	put := func(path, body string) []wire.MCPServer {
		t.Helper()
		status, got := b.do("PUT", path, body)
		var list []wire.MCPServer
		if err := json.Unmarshal([]byte(got), &list); status != 200 || err != nil {
			t.Errorf("%s: %d %s", body, status, got)
		}
		return list
	}
	if list := put(wire.PathMCP, `[{"name":"a","command":"x"},{"name":"b","url":"http://127.0.0.1:1/sse"}]`); len(list) != 2 ||
		list[0].Transport != "stdio" || list[1].Transport != "sse" || list[1].State != "idle" {
		t.Errorf("%+v", list)
	}
	if list := put(wire.PathMCP+wire.SuffixServers, `{"mcpServers":{"c":{"url":"http://127.0.0.1:1/mcp","headers":{"A":"b"}}}}`); len(list) != 1 || list[0].Name != "c" || list[0].Transport != "http" {
		t.Errorf("%+v", list)
	}
	for _, body := range []string{``, `{}`, `[{}]`, `[{"name":"a"}]`, `[{"name":"a","command":"x","url":"http://y"}]`, `[{"name":"a","url":"http://x","transport":"ws"}]`} {
		if status, got := b.do("PUT", wire.PathMCP, body); status != 400 || sandbox.CodeOf(wire.ParseError([]byte(got), status)) != sandbox.Invalid {
			t.Errorf("%q: %d %s", body, status, got)
		}
	}
	if list := put(wire.PathMCP, `[]`); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestToolServersEndWithTheServer(t *testing.T) {
	b := start(t, nil)
	pidFile := filepath.Join(b.dir, "pid")
	b.do("POST", "/update_mcp_server", `[{"name":"a","command":"bash","args":["-c","sleep 300 & echo $! >`+pidFile+`; exec cat >/dev/null"]}]`)
	done := make(chan seen, 1)
	go func() { done <- b.native("a", toolCall("x", `{}`)) }()
	var pid string
	for deadline := time.Now().Add(30 * time.Second); pid == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(pidFile)
		pid = strings.TrimSpace(string(text))
	}
	b.stop()
	<-done
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if pid == "" || err == nil && !strings.Contains(string(stat), ") Z ") { // whose parent may not have looked yet
		t.Errorf("process %q is left: %s", pid, stat)
	}
}
