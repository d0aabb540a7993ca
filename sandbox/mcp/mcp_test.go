package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// open makes a hub of the servers, closed when the test ends, which must have left nothing.
func open(t *testing.T, servers ...mcp.Server) *mcp.Hub {
	t.Helper()
	leak.Check(t)
	dir := t.TempDir()
	h, err := mcp.New(mcp.Config{Child: func() child.Config { return child.Config{} }, Env: os.Environ, Dir: func() string { return dir }}, servers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return h
}

// overHub is an HTTP client that reaches a hub whatever the address.
func overHub(t *testing.T, h *mcp.Hub) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.Dial(ctx) }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// connect connects a client in one of the forms.
func connect(t *testing.T, h *mcp.Hub, path string, o *sdk.ClientOptions) *sdk.ClientSession {
	t.Helper()
	var transport sdk.Transport
	if strings.HasSuffix(path, "sse") {
		transport = &sdk.SSEClientTransport{Endpoint: "http://hub" + path, HTTPClient: overHub(t, h)}
	} else {
		transport = &sdk.StreamableClientTransport{Endpoint: "http://hub" + path, HTTPClient: overHub(t, h)}
	}
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, o).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatalf("connect to %s: %v", path, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func npm(t *testing.T, name string, args ...string) mcp.Server {
	t.Helper()
	node, script := need.MCP(t, name)
	return mcp.Server{Name: name, Type: mcp.Stdio, Command: node, Args: append([]string{script}, args...)}
}

func toolsOf(t *testing.T, s *sdk.ClientSession) []string {
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

func call(t *testing.T, s *sdk.ClientSession, name string, args any) *sdk.CallToolResult {
	t.Helper()
	r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		t.Fatalf("call %s: %v", name, err)
	}
	return r
}

func text(r *sdk.CallToolResult) string {
	var b strings.Builder
	for _, c := range r.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

var everyPath = []string{"/sse", "/mcp/sse", "/mcp", "/v1/mcp"}

func TestEverythingThroughEveryPath(t *testing.T) {
	h := open(t, npm(t, "everything"))
	for _, path := range everyPath {
		t.Run(path, func(t *testing.T) {
			s := connect(t, h, path, nil)
			if tools := toolsOf(t, s); !slices.Contains(tools, "echo") {
				t.Errorf("tools %q have no echo", tools)
			}
			if got := text(call(t, s, "echo", map[string]any{"message": "höllo"})); got != "Echo: höllo" {
				t.Errorf("echo gave %q", got)
			}
			prompts, err := s.ListPrompts(t.Context(), nil)
			if err != nil || len(prompts.Prompts) == 0 {
				t.Errorf("prompts: %v, %v", prompts, err)
			}
			if p, err := s.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "simple-prompt"}); err != nil || len(p.Messages) == 0 {
				t.Errorf("simple-prompt: %v, %v", p, err)
			}
			resources, err := s.ListResources(t.Context(), nil)
			if err != nil || len(resources.Resources) == 0 {
				t.Fatalf("resources: %v, %v", resources, err)
			}
			uri := resources.Resources[0].URI
			if r, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err != nil || len(r.Contents) == 0 {
				t.Errorf("reading %s: %v, %v", uri, r, err)
			}
			if _, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "demo://resource/dynamic/text/1"}); err != nil {
				t.Errorf("reading by a template: %v", err)
			}
		})
	}
	if st := h.Servers()[0]; st.State != mcp.Ready || st.Restarts != 0 || st.Tools == 0 || st.PID == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestSeveralServersShareTheEndpoint(t *testing.T) {
	dir := t.TempDir()
	h := open(t, npm(t, "everything"), npm(t, "filesystem", dir))
	s := connect(t, h, "/mcp/sse", nil)
	tools := toolsOf(t, s)
	for _, want := range []string{"everything_echo", "filesystem_write_file"} {
		if !slices.Contains(tools, want) {
			t.Errorf("tools %q have no %s", tools, want)
		}
	}
	file := filepath.Join(dir, "a.txt")
	if r := call(t, s, "filesystem_write_file", map[string]any{"path": file, "content": "written"}); r.IsError {
		t.Errorf("write: %s", text(r))
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "written" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if r := call(t, s, "filesystem_read_text_file", map[string]any{"path": "/etc/passwd"}); !r.IsError {
		t.Errorf("a file outside was read: %s", text(r))
	}
}

func TestNativeCall(t *testing.T) {
	h := open(t, npm(t, "everything"))
	b, err := h.Call(t.Context(), "echo", json.RawMessage(`{"message":"<&>"}`))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Meta, StructuredContent json.RawMessage
		Content                 []struct{ Type, Text string }
		IsError                 *bool
	}
	if err := json.Unmarshal(b, &r); err != nil || r.IsError == nil || *r.IsError || len(r.Content) != 1 || r.Content[0].Text != "Echo: <&>" {
		t.Errorf("got %s, %v", b, err)
	}
	for _, member := range []string{`"_meta":`, `"structuredContent":`} {
		if !bytes.Contains(b, []byte(member)) {
			t.Errorf("%s is missing in %s", member, b)
		}
	}
	if _, err := h.Call(t.Context(), "no-such", nil); sandbox.CodeOf(err) != sandbox.NotFound || !strings.Contains(err.Error(), "echo") {
		t.Errorf("an unknown tool: %v", err)
	}
	if _, err := h.Call(t.Context(), "echo", json.RawMessage(`[1]`)); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Errorf("arguments that are a list: %v", err)
	}
	if b, err := h.Call(t.Context(), "echo", json.RawMessage(`{}`)); err != nil || !bytes.Contains(b, []byte(`"isError":true`)) {
		t.Errorf("missing arguments: %s, %v", b, err)
	}
}

func TestCallTimesOutAndIsGivenUp(t *testing.T) {
	h := open(t, npm(t, "everything"))
	connect(t, h, "/mcp", nil)
	long := json.RawMessage(`{"duration":60,"steps":60}`)
	if _, err := h.Call(t.Context(), "echo", json.RawMessage(`{"message":"up"}`)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	b, err := h.Call(ctx, "trigger-long-running-operation", long)
	var r struct {
		IsError bool
		Error   string
		Content []any
	}
	if json.Unmarshal(b, &r); err != nil || !r.IsError || !strings.Contains(r.Error, "Timed out") || r.Content == nil {
		t.Errorf("a call that takes too long: %s, %v", b, err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := h.Call(ctx, "trigger-long-running-operation", long); sandbox.CodeOf(err) != sandbox.Canceled {
		t.Errorf("a call that is given up: %v", err)
	}
}

func TestProgressReachesItsCaller(t *testing.T) {
	h := open(t, npm(t, "everything"))
	for _, path := range []string{"/sse", "/mcp"} {
		t.Run(path, func(t *testing.T) {
			news := make(chan *sdk.ProgressNotificationParams, 16)
			s := connect(t, h, path, &sdk.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { news <- r.Params }})
			// What comes with the answer is not passed on: nobody waits for it any more. So the operation ends when we have heard of it.
			p := &sdk.CallToolParams{Name: "trigger-long-running-operation", Arguments: map[string]any{"duration": 600, "steps": 6000}}
			p.SetProgressToken("mine")
			ctx, enough := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := s.CallTool(ctx, p)
				ended <- err
			}()
			defer func() {
				enough()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
			select {
			case n := <-news:
				if n.ProgressToken != "mine" || n.Progress != 1 {
					t.Errorf("news %+v", n)
				}
			case <-time.After(time.Minute):
				t.Error("no progress came")
			}
		})
	}
}
