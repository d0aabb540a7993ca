package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
)

// The test's own binary is also the program that it starts: with actVariable set it is a tool server.
const actVariable = "SANDTREE_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		os.Exit(perform(act))
	}
	os.Exit(m.Run())
}

type nothing struct{}

func said(text string) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}

// tools makes a server whose tools tell of it, and change it.
func tools(name string) *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: name}, &sdk.ServerOptions{
		CompletionHandler: func(_ context.Context, r *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{r.Params.Ref.Name + r.Params.Ref.URI + "!"}}}, nil
		},
		SubscribeHandler:   func(context.Context, *sdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
	})
	s.AddPrompt(&sdk.Prompt{Name: "greet"}, func(_ context.Context, r *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{Description: r.Params.Name + r.Params.Arguments["x"]}, nil
	})
	read := func(_ context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: r.Params.URI, Text: name}}}, nil
	}
	s.AddResource(&sdk.Resource{Name: "same", URI: "test://same"}, read)
	s.AddResource(&sdk.Resource{Name: "own", URI: "test://" + name}, read)
	s.AddResourceTemplate(&sdk.ResourceTemplate{Name: "any", URITemplate: "test://" + name + "/{x}"}, read)
	sdk.AddTool(s, &sdk.Tool{Name: "tell"}, func(ctx context.Context, r *sdk.CallToolRequest, _ nothing) (*sdk.CallToolResult, any, error) {
		//lint:ignore SA1019 what is tested
		err := r.Session.Log(ctx, &sdk.LoggingMessageParams{Level: "debug", Data: "told"})
		return said("telling"), nil, errors.Join(err, s.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: "test://" + name}))
	})
	sdk.AddTool(s, &sdk.Tool{Name: "who"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		return said(fmt.Sprintf("%s %d %s", name, os.Getpid(), os.Getenv("WHOSE"))), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "die"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		fmt.Fprintln(os.Stderr, "I have been told to die")
		os.Exit(3)
		return nil, nil, nil
	})
	var waiting, givenUp atomic.Int64
	goOn := make(chan struct{})
	sdk.AddTool(s, &sdk.Tool{Name: "given_up"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		return said(fmt.Sprint(givenUp.Load())), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "wait"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ nothing) (*sdk.CallToolResult, any, error) {
		waiting.Add(1)
		select {
		case <-ctx.Done():
			givenUp.Add(1)
			return nil, nil, ctx.Err()
		case <-goOn:
			return said("waited"), nil, nil
		}
	})
	sdk.AddTool(s, &sdk.Tool{Name: "waiting"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		return said(fmt.Sprint(waiting.Load())), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "go_on"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		close(goOn)
		return said("going on"), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "grow"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
		sdk.AddTool(s, &sdk.Tool{Name: "grown"}, func(context.Context, *sdk.CallToolRequest, nothing) (*sdk.CallToolResult, any, error) {
			return said("grown"), nil, nil
		})
		return said("growing"), nil, nil
	})
	return s
}

// perform is a server as a program.
func perform(act string) int {
	fmt.Fprintln(os.Stderr, "this is", act)
	switch act {
	case "crash":
		return 7
	case "junk":
		fmt.Println("Listening on nothing at all\n{\"this\": \"is no message\"}\n[]")
	case "hostile":
		return beHostile()
	case "asking", "asking by its answer":
		return ask(act != "asking")
	case "deaf":
		select {}
	case "long":
		fmt.Printf(`{"jsonrpc":"2.0","id":1,"result":%q}`, strings.Repeat("x", 17<<20))
		select {}
	}
	if err := tools(act).Run(context.Background(), &sdk.StdioTransport{}); err != nil {
		return 1
	}
	return 0
}

// acting is a configured server that is this test's own program.
func acting(t *testing.T, name, act string) mcp.Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return mcp.Server{Name: name, Type: mcp.Stdio, Command: self, Env: map[string]string{actVariable: act}}
}

// elsewhere serves a server over HTTP in one of the forms and gives its configuration. hits counts its requests.
func elsewhere(t *testing.T, name, kind string, hits *atomic.Int64) mcp.Server {
	t.Helper()
	get := func(*http.Request) *sdk.Server { return tools(name) }
	var handler http.Handler = sdk.NewStreamableHTTPHandler(get, nil)
	if kind == mcp.SSE {
		handler = sdk.NewSSEHandler(get, nil)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.Header.Get("X-Test") != "passed" {
			http.Error(w, "no header", http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return mcp.Server{Name: name, Type: kind, URL: srv.URL, Headers: map[string]string{"X-Test": "passed"}}
}

// until waits for a status of the first server that f likes.
func until(t *testing.T, h *mcp.Hub, f func(mcp.Status) bool) mcp.Status {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := h.Servers()[0]
		if f(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the status stays %+v", s)
		}
	}
}

func in(state string) func(mcp.Status) bool {
	return func(s mcp.Status) bool { return s.State == state }
}

func native(t *testing.T, h *mcp.Hub, tool string) string {
	t.Helper()
	b, err := h.Call(t.Context(), tool, nil)
	if err != nil {
		t.Fatalf("call %s: %v", tool, err)
	}
	var r struct {
		Error   string
		Content []struct{ Text string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if r.Error != "" {
		return "error: " + r.Error
	}
	return r.Content[0].Text
}

func TestNothingRunsBeforeItIsUsed(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	if s := h.Servers()[0]; s.State != mcp.Idle {
		t.Errorf("status %+v", s)
	}
	connect(t, h, "/mcp", nil)
	if s := h.Servers()[0]; s.State != mcp.Idle {
		t.Errorf("a client that only connects starts it: %+v", s)
	}
}

func TestServersElsewhere(t *testing.T) {
	var hits atomic.Int64
	h := open(t, elsewhere(t, "old", mcp.SSE, &hits), elsewhere(t, "new", mcp.HTTP, &hits))
	s := connect(t, h, "/mcp", nil)
	for _, name := range []string{"old", "new"} {
		if got := text(call(t, s, name+"_who", nil)); !strings.HasPrefix(got, name+" ") {
			t.Errorf("%s_who says %q", name, got)
		}
	}
	for _, st := range h.Servers() {
		if st.State != mcp.Ready || st.PID != 0 {
			t.Errorf("status %+v", st)
		}
	}
}

func TestHeadersDoNotFollowARedirection(t *testing.T) {
	var leaked atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Secret") != "" {
			leaked.Add(1)
		}
		http.Error(w, "no", http.StatusNotFound)
	}))
	home := httptest.NewServer(http.RedirectHandler(stranger.URL, http.StatusTemporaryRedirect))
	h := open(t, mcp.Server{Name: "a", Type: mcp.HTTP, URL: home.URL, Headers: map[string]string{"X-Secret": "s"}})
	t.Cleanup(stranger.Close)
	t.Cleanup(home.Close)
	connect(t, h, "/mcp", nil).ListTools(t.Context(), nil)
	if st := h.Servers()[0]; st.State != mcp.Waiting || st.Error == "" || leaked.Load() != 0 {
		t.Errorf("leaked %d, status %+v", leaked.Load(), st)
	}
}

func TestCrashedServerComesBack(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	first := native(t, h, "who")
	if got := native(t, h, "die"); !strings.HasPrefix(got, "error: server a is not running") || !strings.Contains(got, "exited with code 3") ||
		!strings.Contains(got, "I have been told to die") || !strings.Contains(got, "attempt 2") {
		t.Errorf("the call that killed it says %q", got)
	}
	if got := native(t, h, "who"); !strings.Contains(got, "attempt") {
		t.Errorf("a call meanwhile says %q", got)
	}
	st := until(t, h, in(mcp.Ready))
	if st.Restarts != 1 || !strings.Contains(st.Error, "exited with code 3") {
		t.Errorf("status %+v", st)
	}
	if again := native(t, h, "who"); again == first {
		t.Errorf("it is the same process: %q", again)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		server mcp.Server
		want   string
	}{
		{"crash", acting(t, "a", "crash"), "exited with code 7; the last it wrote: this is crash"},
		{"missing", mcp.Server{Name: "a", Type: mcp.Stdio, Command: "no-such-program"}, `there is no program "no-such-program" in PATH`},
		{"no URL", mcp.Server{Name: "a", Type: mcp.HTTP, URL: "http://127.0.0.1:1/"}, "refused"},
		{"too long", acting(t, "a", "long"), "a message of more than 16 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.server)
			s := connect(t, h, "/sse", nil)
			if got := toolsOf(t, s); len(got) != 0 {
				t.Errorf("tools %q", got)
			}
			_, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "x"})
			if err == nil || !strings.Contains(err.Error(), "Unknown tool: x. There are none. The server a") {
				t.Errorf("a call says %v", err)
			}
			if st := h.Servers()[0]; st.State == mcp.Ready || !strings.Contains(st.Error, c.want) {
				t.Errorf("status %+v, want %q", st, c.want)
			}
		})
	}
}

func TestJunkOnStandardOutputIsPassedOver(t *testing.T) {
	h := open(t, acting(t, "a", "junk"))
	if got := native(t, h, "who"); !strings.HasPrefix(got, "junk ") {
		t.Errorf("who says %q", got)
	}
}

func TestCloseEndsServersThatAreStarting(t *testing.T) {
	h := open(t, acting(t, "a", "deaf"))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if b, err := h.Call(ctx, "who", nil); err != nil || !strings.Contains(string(b), "Timed out") {
		t.Errorf("%s, %v", b, err)
	}
	began := time.Now()
	if err := h.Close(); err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("closing took %v: %v", time.Since(began), err)
	}
	if _, err := h.Call(t.Context(), "who", nil); err == nil {
		t.Error("a closed hub takes a call")
	}
	if _, err := h.Dial(t.Context()); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Errorf("a closed hub is dialed: %v", err)
	}
	if err := h.Replace(nil); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Errorf("a closed hub is configured: %v", err)
	}
}

func TestReplaceKeepsWhatIsTheSame(t *testing.T) {
	a, b := acting(t, "a", "plain"), acting(t, "b", "plain")
	h := open(t, a, b)
	changed := make(chan struct{}, 16)
	s := connect(t, h, "/mcp/sse", &sdk.ClientOptions{ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { changed <- struct{}{} }})
	before := text(call(t, s, "a_who", nil))
	var wg sync.WaitGroup
	wg.Go(func() { // goes on across the change, under its old name
		if r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "a_wait"}); err != nil || text(r) != "waited" {
			t.Errorf("a call on a server that stays: %q, %v", text(r), err)
		}
	})
	lost := make(chan *sdk.CallToolResult, 1)
	wg.Go(func() {
		r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "b_wait"})
		if err != nil {
			t.Error(err)
		}
		lost <- r
	})
	says(t, h, "a_waiting", "1") // both calls have reached their servers
	says(t, h, "b_waiting", "1")
	for len(changed) > 0 {
		<-changed
	}
	c := acting(t, "c", "plain")
	c.Env["WHOSE"] = "new"
	if err := h.Replace([]mcp.Server{a, c}); err != nil {
		t.Fatal(err)
	}
	if r := <-lost; r == nil || !r.IsError || !strings.Contains(text(r), "taken out of the configuration") {
		t.Errorf("a call on a server that goes: %+v", r)
	}
	<-changed
	if got := toolsOf(t, s); !slices.Contains(got, "c_who") || slices.Contains(got, "b_who") {
		t.Errorf("tools %q", got)
	}
	if after := text(call(t, s, "a_who", nil)); after != before {
		t.Errorf("the server that stays was restarted: %q, then %q", before, after)
	}
	if got := text(call(t, s, "c_who", nil)); !strings.HasSuffix(got, " new") {
		t.Errorf("c_who says %q", got)
	}
	call(t, s, "a_go_on", nil)
	wg.Wait()
	c.Env = map[string]string{actVariable: "plain", "WHOSE": "newer"}
	if err := h.Replace([]mcp.Server{c}); err != nil {
		t.Fatal(err)
	}
	if got := text(call(t, s, "who", nil)); !strings.HasSuffix(got, " newer") {
		t.Errorf("who says %q", got)
	}
}

func TestChangedListsArePassedOn(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	for _, path := range []string{"/sse", "/mcp"} {
		changed := make(chan struct{}, 16)
		s := connect(t, h, path, &sdk.ClientOptions{ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { changed <- struct{}{} }})
		toolsOf(t, s)
		if path == "/sse" {
			call(t, s, "grow", nil)
		}
		for !slices.Contains(toolsOf(t, s), "grown") { // news of what the list had before may come late
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Fatal("no news came")
			}
		}
	}
}

func TestGivenUpCallIsCanceledThere(t *testing.T) {
	h := open(t, acting(t, "a", "plain"))
	s := connect(t, h, "/mcp", nil)
	toolsOf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.CallTool(ctx, &sdk.CallToolParams{Name: "wait"})
		ended <- err
	}()
	says(t, h, "waiting", "1")
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("the call was not given up")
	}
	says(t, h, "given_up", "1")
}

// says waits until a tool, which only tells of its server, says what is wanted.
func says(t *testing.T, h *mcp.Hub, tool, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got := native(t, h, tool)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s says %q, want %q", tool, got, want)
		}
	}
}
