package server_test

import (
	"encoding/json"
	"fmt"
	"net"
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

// What OpenHands' own tests of browsing do: pages from a server that was started in the shell, forms, files.
func TestBrowsingAsOpenHandsDoes(t *testing.T) {
	need.Tool(t, "chromium", "python3")
	viewer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	viewerFile := filepath.Join(t.TempDir(), "oh-server-url")
	b := start(t, func(c *server.Config) {
		c.Browser, c.Downloads, c.Viewer, c.ViewerFile = true, true, viewer, viewerFile
	})
	for name, text := range map[string]string{
		"form.html": `<title>Browser Form Test</title><form><input id=a placeholder="Enter name"><select><option>Select<option value=2>Option 2</select>
<input type=file id=f><button type=button onclick="document.getElementById('result').innerHTML='File selected: '+f.files[0].name">Upload File</button></form><div id=result></div>`,
		"upload_test.txt": "This is a test file for upload testing.",
		"test_image.png":  browsedPNG, "test_document.pdf": browsedPDF,
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	port := need.Port(t)
	if got := b.browsed(fmt.Sprintf(`{"action":"run","args":{"command":"python3 -m http.server %d > server.log 2>&1 &"}}`, port)); !strings.Contains(got.Content, "[1]") {
		t.Errorf("%q has no job", got.Content)
	}
	b.browsed(fmt.Sprintf(`{"action":"run","args":{"command":"until (exec 3<>/dev/tcp/127.0.0.1/%d) 2>/dev/null; do sleep 0.05; done"}}`, port))
	site := fmt.Sprintf("http://localhost:%d", port)
	got := b.browsed(fmt.Sprintf(`{"action":"browse","args":{"url":%q}}`, site))
	if x := got.Extras; x.Error || x.URL != site+"/" || len(x.Pages) != 1 || x.Pages[0] != site+"/" || x.Active != 0 || x.Action != `goto("`+site+`")` ||
		!strings.Contains(got.Content, "Directory listing for /") || !strings.Contains(got.Content, "server.log") {
		t.Errorf("%+v", got)
	}
	do := func(program string) browsed {
		t.Helper()
		event, err := json.Marshal(map[string]any{"action": "browse_interactive", "args": map[string]any{"browser_actions": program}})
		if err != nil {
			t.Fatal(err)
		}
		got := b.browsed(string(event))
		if !strings.Contains(got.Content, "[Action executed successfully.]") || got.Extras.Error || !strings.Contains(got.Extras.Action, program) ||
			!strings.Contains(got.Content, "[Screenshot saved to: "+b.dir+"/.browser_screenshots/screenshot_") {
			t.Fatalf("%s: %+v", program, got)
		}
		return got
	}
	got = do(`goto("` + site + `/form.html")`)
	name, list, file := got.bid(t, "Enter name"), got.bid(t, "combobox"), got.bid(t, "Choose File")
	got = do(`fill("` + name + `", "Hello World")` + "\n" + `select_option("` + list + `", "2")` + "\n" + `upload_file("` + file + `", "` + b.dir + `/upload_test.txt")`)
	if got.bid(t, "value='Hello World'") != name || got.bid(t, "Option 2") == "" || !strings.Contains(got.Content, "upload_test.txt") ||
		!strings.Contains(got.Content, "Browser Form Test") {
		t.Error(got.Content)
	}
	got = do(`click("` + got.bid(t, "Upload File") + `")`)
	got.bid(t, "File selected: upload_test.txt")
	view, err := os.ReadFile(viewerFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(`goto("` + string(view) + `/view?path=` + b.dir + `/test_image.png")`); !strings.Contains(got.Content, "File Viewer - test_image.png") {
		t.Error(got.Content)
	}
	if got := do(`goto("` + string(view) + `/view?path=` + b.dir + `/test_document.pdf")`); !strings.Contains(got.Content, "Canvas") {
		t.Error(got.Content)
	}
	if got := b.browsed(`{"action":"run","args":{"command":"ls .browser_screenshots"}}`); !strings.Contains(got.Content, "screenshot_") || !strings.Contains(got.Content, ".png") {
		t.Error(got.Content)
	}
	b.browsed(`{"action":"run","args":{"command":"kill %1"}}`)
}

// bid finds an element by what its line, or those below it that have no bid, contains.
func (s browsed) bid(t *testing.T, text string) (last string) {
	t.Helper()
	_, tree, _ := strings.Cut(s.Content, "BEGIN accessibility tree")
	for line := range strings.Lines(tree) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "[") {
			last, _, _ = strings.Cut(line[1:], "]")
		}
		if strings.Contains(line, text) {
			return last
		}
	}
	t.Fatalf("no %q in %s", text, s.Content)
	return ""
}

const (
	browsedPNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
	browsedPDF = "%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n"
)
