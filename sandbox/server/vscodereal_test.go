package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

// The real code-server, where make vscode-test has installed it: it is reached with the token, at its port and through the
// server's proxy of ports.
func TestRealCodeServer(t *testing.T) {
	program := os.Getenv("CODE_SERVER")
	if program == "" {
		t.Skip("CODE_SERVER names no code-server: see make vscode-test")
	}
	port := 0
	b := start(t, func(c *server.Config) {
		c.Plugins, c.Browser = []string{"vscode"}, true
		c.Env[0] = "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")
		c.VSCode = server.VSCode{Port: need.Port(t)}
		port = c.VSCode.Port
	})
	token := b.token()
	if p := b.plugin(); p.State != "ready" || token == "" {
		t.Fatalf("%+v, token %q", p, token)
	}
	gate := b.gate()
	for name, at := range map[string]string{
		"port":  fmt.Sprintf("http://127.0.0.1:%d", port),
		"proxy": fmt.Sprintf("%s%s/%d", gate, wire.PathPorts, port),
	} {
		t.Run(name+"'s pages", func(t *testing.T) { editorPages(t, at, token) })
		t.Run(name+" in a browser", func(t *testing.T) { b.workbench(t, at, token) })
	}
}

// gate is a server that brings whoever comes to the box's server, with the key: what a launcher's front does.
func (b *box) gate() string {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}}
	gate := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "sandbox"})
		r.Out.Host = r.In.Host // code-server compares it with the origin of WebSockets
		r.Out.Header.Set(wire.HeaderKey, key)
	}})
	b.t.Cleanup(func() {
		gate.CloseClientConnections()
		gate.Close()
		transport.CloseIdleConnections()
	})
	return gate.URL
}

// editorPages logs in to the code-server there, whose first page is VS Code's then.
func editorPages(t *testing.T, at, token string) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	read := func(response *http.Response, err error) (int, string) {
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, body := read(client.Get(at + "/")); status != http.StatusOK || !strings.Contains(body, "<title>code-server login") {
		t.Errorf("without the token: %d %.300s", status, body)
	}
	login := at + "/login?to=."
	if status, body := read(client.PostForm(login, url.Values{"password": {"wrong"}, "base": {"."}})); strings.Contains(body, "vscode-workbench") {
		t.Errorf("with another token: %d %.300s", status, body)
	}
	status, body := read(client.PostForm(login, url.Values{"password": {token}, "base": {"."}}))
	if status != http.StatusOK || !strings.Contains(body, `id="vscode-workbench-web-configuration"`) {
		t.Errorf("with the token: %d %.300s", status, body)
	}
}

var focused = regexp.MustCompile(`\[Focused element bid: (\w+)\]`)

// workbench has the sandbox's browser log in there, and waits until VS Code shows the sandbox's folder: its scripts have
// come then, and run.
func (b *box) workbench(t *testing.T, at, token string) {
	need.Tool(t, "chromium")
	do := func(program string) browsed {
		t.Helper()
		got := b.browsed(fmt.Sprintf(`{"action":"browse_interactive","args":{"browser_actions":%q,"return_axtree":true}}`, program))
		if got.Extras.ActionErr != "" {
			t.Fatalf("%+v", got)
		}
		return got
	}
	got := do(fmt.Sprintf("goto(%q)", at+"/"))
	if strings.Contains(got.Content, "RootWebArea 'code-server login'") { // else it knows the cookie, which is of all ports
		field := focused.FindStringSubmatch(got.Content) // the one for the password
		if field == nil {
			t.Fatalf("%+v", got)
		}
		got = do(fmt.Sprintf("fill(%q, %q)\npress(%[1]q, 'Enter')", field[1], token))
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(got.Content, "heading 'Explorer Section: work'"); got = do("noop(500)") {
		if time.Now().After(end) {
			t.Fatalf("%+v", got)
		}
	}
	if !strings.Contains(got.Content, "RootWebArea 'work - code-server'") {
		t.Errorf("%.3000s", got.Content)
	}
}
