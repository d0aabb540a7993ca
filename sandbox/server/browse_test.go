package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

// browsed reads the answer to a browse action in the OpenHands form.
type browsed struct {
	Observation, Content, Message string
	Extras                        struct {
		URL       string   `json:"url"`
		Error     bool     `json:"error"`
		Pages     []string `json:"open_pages_urls"`
		Active    int      `json:"active_page_index"`
		Action    string   `json:"last_browser_action"`
		ActionErr string   `json:"last_browser_action_error"`
	}
}

func (b *box) browsed(event string) (got browsed) {
	b.t.Helper()
	status, body := b.execute(event)
	if status != http.StatusOK {
		b.t.Fatalf("%d %s", status, body)
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		b.t.Fatal(err)
	}
	return got
}

func TestBrowse(t *testing.T) {
	need.Tool(t, "chromium")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<title>Home</title><h1>Directory listing for /</h1><a href=x>server.log</a>"))
	}))
	defer site.Close()
	b := start(t, func(c *server.Config) { c.Browser = true })
	if all, err := os.ReadDir(b.dir); err != nil || len(all) > 0 {
		t.Errorf("%v, %v before anybody has asked", all, err)
	}
	got := b.browsed(fmt.Sprintf(`{"action":"browse","args":{"url":%q}}`, site.URL))
	x := got.Extras
	if got.Observation != "browse" || x.URL != site.URL+"/" || x.Error || len(x.Pages) != 1 || x.Active != 0 || x.ActionErr != "" ||
		x.Action != `goto("`+site.URL+`")` || got.Message != "Visited "+x.URL || !strings.Contains(got.Content, "server.log") {
		t.Errorf("%+v", got)
	}
	got = b.browsed(`{"action":"browse_interactive","args":{"browser_actions":"scroll(0, 100)","return_axtree":true}}`)
	if !strings.Contains(got.Content, "[Action executed successfully.]") || !strings.Contains(got.Content, "RootWebArea 'Home'") {
		t.Errorf("%+v", got)
	}
	if s := b.native("a", sandbox.BrowseArgs{URL: site.URL}); s.err != nil || s.Kind() != sandbox.KindBrowse {
		t.Errorf("%v %v", s.err, s.Observation)
	}
	if shots, err := filepath.Glob(filepath.Join(b.dir, ".browser_screenshots/screenshot_*.png")); err != nil || len(shots) != 3 {
		t.Errorf("%q, %v", shots, err)
	}
	// The server runs no shell command meanwhile, but it could.
	done := make(chan seen)
	go func() { done <- b.native("waits", sandbox.BrowseInteractiveArgs{BrowserActions: "noop(60000)"}) }()
	b.native("beside", run("true")).wantRun(t, 0, "")
	for {
		if status, _ := b.do("POST", wire.PathActions+"waits/interrupt", ""); status == http.StatusNoContent {
			break
		}
	}
	if s := <-done; !strings.Contains(s.Content, "interrupted") {
		t.Errorf("%v %v", s.err, s.Observation)
	}
}

func TestBrowserDirectory(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Browser, c.Downloads = true, true })
	if all, err := os.ReadDir(b.dir); err != nil || len(all) != 1 || all[0].Name() != ".downloads" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestNoBrowser(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Browser, c.Env = true, []string{"PATH=/nowhere", "HOME=" + t.TempDir()} })
	got := b.browsed(`{"action":"browse","args":{"url":"http://x"}}`)
	if got.Observation != "error" || !strings.HasPrefix(got.Content, "Browser functionality is not supported or disabled. ") ||
		!strings.Contains(got.Content, "install the package chromium") {
		t.Errorf("%+v", got)
	}
	b.native("a", sandbox.BrowseArgs{URL: "x"}).wantCode(t, sandbox.Unsupported)
}
