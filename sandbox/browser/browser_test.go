package browser_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/browser"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// A box is a browser with a real Chromium, and a site for it to visit.
type box struct {
	*browser.Browser
	t    testing.TB
	dir  string // working directory
	temp string
	site string // URL without a slash at the end
}

func start(t testing.TB, pages map[string]string, change func(*browser.Config)) *box {
	t.Helper()
	need.Tool(t, "chromium")
	if t, ok := t.(*testing.T); ok {
		leak.Check(t)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/file") {
			w.Header().Set("Content-Disposition", `attachment; filename="report.csv"`)
			w.Write([]byte("a,b\n1,2\n"))
			return
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(page))
	}))
	t.Cleanup(server.Close)
	temp, err := os.MkdirTemp("", "b-") // t.TempDir is too long for Chromium's socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	b := &box{t: t, dir: t.TempDir(), temp: temp, site: server.URL}
	c := browser.Config{Dir: b.dir, TempDir: b.temp, Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Env: environment(b.dir)}
	if change != nil {
		change(&c)
	}
	b.Browser = browser.New(c)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(b.temp); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	return b
}

func environment(home string) func() []string {
	return func() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8"} }
}

type testLog struct{ testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// seen is an observation.
type seen struct {
	sandbox.Observation
	URL        string                     `json:"url"`
	Trigger    string                     `json:"trigger_by_action"`
	Screenshot string                     `json:"screenshot"`
	Path       *string                    `json:"screenshot_path"`
	Marks      string                     `json:"set_of_marks"`
	Error      bool                       `json:"error"`
	Pages      []string                   `json:"open_pages_urls"`
	Active     int                        `json:"active_page_index"`
	Tree       struct{ Nodes []any }      `json:"axtree_object"`
	Elements   map[string]json.RawMessage `json:"extra_element_properties"`
	Action     string                     `json:"last_browser_action"`
	ActionErr  string                     `json:"last_browser_action_error"`
	Focused    string                     `json:"focused_element_bid"`
	FilePath   string                     `json:"file_path"`
}

func (b *box) read(o sandbox.Observation, err error) seen {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	s := seen{Observation: o}
	switch r := o.Result.(type) {
	case sandbox.BrowseResult:
		err = json.Unmarshal(r.Extras, &s)
	case sandbox.OtherResult:
		err = json.Unmarshal(r.Extras, &s)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *box) browse(url string) seen {
	b.t.Helper()
	return b.read(b.Browse(b.t.Context(), sandbox.BrowseArgs{URL: url}))
}

func (b *box) do(program string) seen {
	b.t.Helper()
	return b.read(b.Interact(b.t.Context(), sandbox.BrowseInteractiveArgs{BrowserActions: program}))
}

// ok performs what must succeed.
func (b *box) ok(program string) seen {
	b.t.Helper()
	s := b.do(program)
	if s.Error || s.ActionErr != "" || !strings.Contains(s.Content, "[Action executed successfully.]") {
		b.t.Fatalf("%s: %s\n%s", program, s.ActionErr, s.Content)
	}
	return s
}

// bid finds an element by what its line, or those below it that have no bid, contains.
func (s seen) bid(t testing.TB, text string) string {
	t.Helper()
	_, tree, _ := strings.Cut(s.Content, "BEGIN accessibility tree ==============\n")
	last := ""
	for line := range strings.Lines(tree) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			last, _, _ = strings.Cut(line[1:], "]")
		}
		if strings.Contains(line, text) {
			return last
		}
	}
	t.Fatalf("no element %q in\n%s", text, s.Content)
	return ""
}

func TestBrowse(t *testing.T) {
	b := start(t, map[string]string{
		"/": `<title>Home</title><h1>Directory listing for /</h1><hr><ul><li><a href="server.log">server.log</a></li><li><a href="a%20b/">a b/</a></ul><hr><img src="x.png" alt=none>`,
		"/text": `<p>One <b>bold</b>,
<i>slanted</i> <code>x=1</code>.<br>Next<p>A<a href="/x"> link <span>in</span> parts</a>end.<ol start=3><li>three<ul><li>inner</ul><li>four</ol>
<pre>  kept
 as is</pre><table><tr><th>H<th>I<tr><td>1<td>2</table><script>no()</script><style>no</style><div><div>deep</div></div><blockquote>said</blockquote>`}, nil)
	s := b.browse(b.site)
	if s.Error || s.ActionErr != "" || len(s.Pages) != 1 || s.Pages[0] != b.site+"/" || s.Active != 0 || s.URL != b.site+"/" ||
		s.Action != `goto("`+b.site+`")` || s.Trigger != "browse" || len(s.Screenshot) < 1000 || len(s.Marks) < 1000 || len(s.Tree.Nodes) > 0 {
		t.Errorf("%.300v", s)
	}
	const begin, end = "============== BEGIN webpage content ==============\n", "\n============== END webpage content ==============\n"
	want := "[Current URL: " + b.site + "/]\n" + begin + "# Directory listing for /\n\n---\n\n* [server.log](" + b.site + "/server.log)\n* [a b/](" +
		b.site + "/a%20b/)\n\n---" + end
	if s.Content != want {
		t.Errorf("%s\nwant\n%s", s.Content, want)
	}
	if s.Path == nil {
		t.Fatal("no screenshot was saved")
	}
	if png, err := os.ReadFile(*s.Path); err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) || filepath.Dir(*s.Path) != filepath.Join(b.dir, ".browser_screenshots") {
		t.Errorf("%s: %v", *s.Path, err)
	}
	want = "[Current URL: " + b.site + "/text]\n" + begin + "One **bold**, _slanted_ `x=1`.\nNext\n\nA [link in parts](" + b.site + "/x)end.\n\n3. three\n  * inner\n4. four\n\n" +
		"```\n  kept\n as is\n```\n\nH | I\n1 | 2\n\ndeep\n\n> said" + end
	if s = b.browse(b.site + "/text"); s.Content != want {
		t.Errorf("%s\nwant\n%s", s.Content, want)
	}
	s = b.read(b.Browse(t.Context(), sandbox.BrowseArgs{URL: "127.0.0.1:9", ReturnAXTree: true}))
	if !s.Error || s.ActionErr != "Error: Page.goto: net::ERR_UNSAFE_PORT at http://127.0.0.1:9" || s.Action != `goto("127.0.0.1:9")` ||
		!strings.Contains(s.Content, "]\n================ BEGIN error message ===============\nThe following error occurred when trying to visit the URL:\nError: Page.goto: ") {
		t.Errorf("%s\n%s", s.ActionErr, s.Content)
	}
	s = b.read(b.Browse(t.Context(), sandbox.BrowseArgs{URL: b.site, ReturnAXTree: true}))
	if len(s.Tree.Nodes) < 5 || len(s.Elements) < 5 {
		t.Errorf("%d nodes, %d elements", len(s.Tree.Nodes), len(s.Elements))
	}
}
