package runtimetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

var (
	withBrowser  = Want{Browser: true}
	browserNeeds = []string{"bash", "python3", needBrowser}
)

// browserRows are the tests of tests/runtime/test_browsing.py.
var browserRows = []Row{
	{Name: "test_simple_browse", About: "a directory listing; a server's job notice", Needs: browserNeeds, want: withBrowser, run: func(s *site) {
		port := s.serve()
		p := s.browse("http://localhost:" + port)
		p.has("Directory listing for /", "server.log", "============== BEGIN webpage content ==============")
		if !strings.Contains(p.URL, "http://localhost:"+port) || p.Error || p.LastError != "" || p.Active != 0 || len(p.Open) != 1 || p.Open[0] != "http://localhost:"+port+"/" {
			p.fail("extras are %+v", p.pageExtras)
		}
		s.want("the last action", p.LastAction, `goto("http://localhost:`+port+`")`)
		s.cmd("rm -rf server.log").exits(0)
	}},
	{Name: "test_browser_navigation_actions", About: "goto, noop, go_back, go_forward", Needs: browserNeeds, want: withBrowser, run: func(s *site) {
		s.write("page1.html", "<html><head><title>Page 1</title></head><body><h1>Page 1</h1><a href='page2.html'>to 2</a></body></html>")
		s.write("page2.html", "<html><head><title>Page 2</title></head><body><h1>Page 2</h1></body></html>")
		base := "http://localhost:" + s.serve()
		s.interact(`goto("`+base+`/page1.html")`).has("Page 1", "[Action executed successfully.]")
		s.interact("noop(500)").has("Page 1")
		s.interact(`goto("` + base + `/page2.html")`).has("Page 2")
		if p := s.interact("go_back()").page(); !strings.HasSuffix(p.URL, "page1.html") {
			p.fail("want page 1, have %s", p.URL)
		}
		if p := s.interact("go_forward()").page(); !strings.HasSuffix(p.URL, "page2.html") {
			p.fail("want page 2, have %s", p.URL)
		}
	}},
	{Name: "test_browser_form_interactions", About: "fill twice, select_option, click, clear", Needs: browserNeeds, want: withBrowser, run: browserForm},
	{Name: "test_browser_interactive_actions", About: "scroll, hover, focus, press, several actions at once", Needs: browserNeeds, want: withBrowser, run: func(s *site) {
		s.write("scroll.html", `<html><head><title>Scroll</title></head><body><button>Hover Me</button><input placeholder="Focus Me"><div style="height:3000px">tall</div></body></html>`)
		base := "http://localhost:" + s.serve()
		p := s.interact(`goto("` + base + `/scroll.html")`).page()
		s.interact("scroll(0, 300)").has("[Action executed successfully.]")
		field := p.bid("Focus Me")
		s.interact(`hover("` + p.bid("Hover Me") + `")`).has("[Action executed successfully.]")
		if q := s.interact(`focus("` + field + `")`).page(); q.Focused != field {
			q.fail("want the focus at %s, have %q", field, q.Focused)
		}
		s.interact(`fill("` + field + `", "TestValue1")`).has("TestValue1")
		s.interact(`press("` + field + `", "Backspace")`).has("TestValue").hasNot("TestValue1'")
		s.interact("scroll(0, -200)\nnoop(100)\nfill(\""+field+"\", \"several\")").has("several", "[Action executed successfully.]")
	}},
	{Name: "test_browser_file_upload", About: "upload_file, and what the page makes of it", Needs: browserNeeds, want: withBrowser, run: func(s *site) {
		s.write("upload_test.txt", "This is a test file for upload.")
		s.write("upload.html", `<html><head><title>Upload</title></head><body><input type="file" id="f" onchange="document.getElementById('o').textContent='Chosen: '+this.files[0].name"><div id="o"></div></body></html>`)
		p := s.interact(`goto("http://localhost:` + s.serve() + `/upload.html")`).page()
		s.interact(`upload_file("`+p.bid("Choose File")+`", "`+s.in("upload_test.txt")+`")`).has("Chosen: upload_test.txt", "[Action executed successfully.]")
	}},
	{Name: "test_read_pdf_browse", About: "a PDF in the file viewer", alone: true, Needs: append(browserNeeds[:3:3], needViewer), want: withBrowser, run: func(s *site) {
		s.copyTo("test_document.pdf", s.dir, tinyPDF)
		p := s.interact(`goto("` + s.viewer() + "/view?path=" + s.in("test_document.pdf") + `")` + "\nnoop(1000)")
		p.has("Canvas", "Screenshot saved to: "+s.in(".browser_screenshots/screenshot_"))
		s.cmd("ls "+s.in(".browser_screenshots")).exits(0).has("screenshot_", ".png")
	}},
	{Name: "test_read_png_browse", About: "an image in the file viewer", alone: true, Needs: append(browserNeeds[:3:3], needViewer), want: withBrowser, run: func(s *site) {
		s.copyTo("test_image.png", s.dir, tinyPNG)
		s.interact(`goto("`+s.viewer()+"/view?path="+s.in("test_image.png")+`")`).has("File Viewer - test_image.png", "Screenshot saved to: "+s.in(".browser_screenshots/screenshot_"))
	}},
}

// serve serves the workspace over HTTP from inside, and gives the port.
func (s *site) serve() string {
	s.Helper()
	port := freePort(s)
	s.cmd("python3 -m http.server " + port + " > server.log 2>&1 &").exits(0).has("[1]")
	s.cmd(fmt.Sprintf("for i in $(seq 100); do python3 -c 'import urllib.request; urllib.request.urlopen(\"http://localhost:%s\")' 2>/dev/null && break; sleep 0.1; done", port)).exits(0)
	return port
}

// viewer is the address of the file viewer, which its server writes to a file.
func (s *site) viewer() string {
	s.Helper()
	return strings.TrimSpace(s.cmd("cat /tmp/oh-server-url").exits(0).has("http://localhost:").text)
}

type pageExtras struct {
	URL        string   `json:"url"`
	Trigger    string   `json:"trigger_by_action"`
	Error      bool     `json:"error"`
	Open       []string `json:"open_pages_urls"`
	Active     int      `json:"active_page_index"`
	LastAction string   `json:"last_browser_action"`
	LastError  string   `json:"last_browser_action_error"`
	Focused    string   `json:"focused_element_bid"`
}

// A page is what the browser shows.
type page struct {
	ran
	pageExtras
}

func (s *site) browse(url string) page {
	s.Helper()
	return s.look(url, sandbox.BrowseArgs{URL: url})
}

// A glance is a page with checks that can be chained.
type glance struct{ p page }

func (g glance) page() page { return g.p }

func (g glance) has(parts ...string) glance {
	g.p.s.Helper()
	g.p.ran.has(parts...)
	return g
}

func (g glance) hasNot(parts ...string) glance {
	g.p.s.Helper()
	g.p.ran.hasNot(parts...)
	return g
}

func (s *site) interact(actions string) glance {
	s.Helper()
	return glance{s.look(actions, sandbox.BrowseInteractiveArgs{BrowserActions: actions, ReturnAXTree: true})}
}

func (s *site) look(what string, args sandbox.Args) page {
	s.Helper()
	o := s.do(sandbox.Action{Args: args, Timeout: 5 * time.Minute})
	p := page{ran: ran{s: s, command: what, text: o.Content, kind: o.Kind()}}
	b, ok := o.Result.(sandbox.BrowseResult)
	if !ok {
		p.fail("want a page")
		s.FailNow()
	}
	if err := json.Unmarshal(b.Extras, &p.pageExtras); err != nil {
		p.fail("extras: %v", err)
	}
	return p
}

var element = regexp.MustCompile(`^\s*\[([a-zA-Z0-9]+)\] (.*)$`)

// bid is the id of the first element of the tree whose line, or those right below it, have the text.
func (p page) bid(text string) string {
	p.s.Helper()
	_, tree, _ := strings.Cut(p.text, "============== BEGIN accessibility tree ==============")
	tree, _, _ = strings.Cut(tree, "============== END accessibility tree ==============")
	last, found := "", ""
	for line := range strings.Lines(tree) {
		if m := element.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			last = m[1]
		}
		if strings.Contains(line, text) && !strings.Contains(line, "RootWebArea") {
			found = last
			break
		}
	}
	if found == "" {
		p.fail("want an element with %q", text)
		p.s.FailNow()
	}
	return found
}

func browserForm(s *site) {
	s.write("form.html", `<html><head><title>Test Form</title></head><body><form onsubmit="document.getElementById('r').textContent='Submitted: '+document.getElementById('t').value; return false">
<input type="text" id="t" placeholder="Enter text"><textarea id="a" placeholder="Enter message"></textarea>
<select id="c"><option value="1">Option One</option><option value="2">Option Two</option></select>
<button type="submit">Test Button</button></form><div id="r"></div></body></html>`)
	p := s.interact(`goto("http://localhost:` + s.serve() + `/form.html")`).page()
	field, area, choice := p.bid("Enter text"), p.bid("Enter message"), p.bid("combobox")
	s.interact("fill(\""+field+"\", \"Hello World\")\nfill(\""+area+"\", \"This is a test message\")").has("Hello World", "This is a test message")
	s.interact(`select_option("`+choice+`", "Option Two")`).has("Option Two", "[Action executed successfully.]")
	s.interact(`click("` + p.bid("Test Button") + `")`).has("Submitted: Hello World")
	if q := s.interact(`clear("` + field + `")`).page(); strings.Contains(q.text, "value='Hello World'") || q.bid("Enter text") != field {
		q.fail("want the field %s empty", field)
	}
}

// tinyPDF is a document of one page; tinyPNG an image of one pixel.
const (
	tinyPDF = "%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
	tinyPNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)
