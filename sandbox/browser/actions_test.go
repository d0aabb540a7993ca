package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const form = `<title>Form Test</title><h1>Form</h1><form>
<input type=text id=name placeholder="Your name"><input type=email id=mail placeholder="Mail">
<textarea id=msg placeholder=Message></textarea>
<select id=color><option value="">Choose a color</option><option value=red>Red</option><option value=blue>Blue</option></select>
<label><input type=checkbox id=news> Newsletter</label><input type=date id=when aria-label=When>
<button type=button onclick="out.textContent='Submitted '+document.getElementById('name').value">Submit</button></form>
<div id=out></div><button disabled>Never</button><div style="position:relative"><button>Covered</button><div style="position:absolute;inset:0">over</div></div>
<p contenteditable aria-label=Rich role=textbox>old text</p>`

func TestForm(t *testing.T) {
	b := start(t, map[string]string{"/": form}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	if !strings.Contains(s.Content, "Form Test") || s.Active != 0 {
		t.Errorf("%s", s.Content)
	}
	name, mail := s.bid(t, "Your name"), s.bid(t, "'Mail'")
	s = b.ok("fill('" + name + "', 'Hello World')\nfill('" + mail + "', value='a@b.c')")
	if s.bid(t, "Your name") != name || s.bid(t, "value='Hello World'") != name || s.bid(t, "value='a@b.c'") != mail {
		t.Errorf("%s", s.Content)
	}
	color := s.bid(t, "combobox")
	s = b.ok(`select_option("` + color + `", "blue")`)
	if s.bid(t, "value='Blue'") != color {
		t.Error(s.Content)
	}
	s = b.ok(`select_option("` + color + `", ["Red"])`)
	if s.bid(t, "value='Red'") != color {
		t.Error(s.Content)
	}
	s = b.ok(`click("` + s.bid(t, "'Submit'") + `")`)
	s.bid(t, "Submitted Hello World")
	s = b.ok(`clear("` + name + `")`)
	if strings.Contains(s.Content, "value='Hello World'") || s.bid(t, "Your name") != name {
		t.Error(s.Content)
	}
	s = b.ok(`focus("` + name + `")`)
	if s.Focused != name || !strings.Contains(s.Content, "[Focused element bid: "+name+"]") {
		t.Errorf("focused %q, want %q", s.Focused, name)
	}
	s = b.ok(`fill("` + name + `", "abc")` + "\n" + `press("` + name + `", "Backspace")`)
	s.bid(t, "value='ab'")
	b.ok(`press("` + name + `", "Control+a")`)
	s = b.ok(`press("` + name + `", "X")`)
	s.bid(t, "value='X'")
	s = b.ok(`click("` + s.bid(t, "checkbox") + `")`)
	s.bid(t, "checked='true'")
	s = b.ok(`fill("` + s.bid(t, "'When'") + `", "2026-01-02")`)
	s.bid(t, "2026")
	s = b.ok(`fill("` + s.bid(t, "'Rich'") + `", "new\ntext")`)
	if s.bid(t, "new"); strings.Contains(s.Content, "old text") {
		t.Error(s.Content)
	}
	s = b.ok(`fill("` + s.bid(t, "Message") + `", "one\ntwo 'quoted' ünï 🎉")`)
	s.bid(t, `one\ntwo`)
	s = b.ok("scroll(0, 300)\nhover('" + name + "')\nnoop(1) # nothing\nsend_msg_to_user('done')")
	if s.Marks == s.Screenshot {
		t.Error("no marks are drawn")
	}
}

func TestFailures(t *testing.T) {
	b := start(t, map[string]string{"/": form}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	for program, want := range map[string]string{
		`click("999")`:                                           "ValueError: Could not find element with bid \"999\"",
		`click("zz9")`:                                           "ValueError: Could not find element with bid \"zz9\"",
		`click("` + s.bid(t, "'Never'") + `")`:                   "TimeoutError: Locator.click: Timeout 500ms exceeded.\n  - element is not enabled",
		`click("` + s.bid(t, "'Covered'") + `")`:                 "intercepts pointer events",
		`fill("` + s.bid(t, "checkbox") + `", "x")`:              "Error: Locator.fill: Error: Input of type \"checkbox\" cannot be filled",
		`select_option("` + s.bid(t, "combobox") + `", "green")`: "did not find some options",
		`dance()`:     "NameError: Invalid action type 'dance'.",
		``:            "ValueError: Received an empty action.",
		`hello there`: "ValueError: Received an empty action.",
		`click()`:     "TypeError: click() missing 1 required positional argument: 'bid'",
		`click(bid)`:  "SyntaxError: line 1: the arguments of click()",
		`press("` + s.bid(t, "Your name") + `", "Foo")`: "Unknown key: \"Foo\"",
		`tab_focus(7)`:                "IndexError",
		`goto("http://127.0.0.1:1/")`: "Error: Page.goto: net::ERR_UNSAFE_PORT at http://127.0.0.1:1/",
		`upload_file("` + s.bid(t, "'Submit'") + `", "nothing")`: "FileNotFoundError: [Errno 2] No such file or directory: 'nothing'",
	} {
		got := b.do(program)
		if !got.Error || !strings.Contains(got.ActionErr, want) || !strings.Contains(got.Content, "BEGIN error message ===============\nThe following error occurred when executing the last action:\n") ||
			!strings.Contains(got.Content, "accessibility tree") || got.Action != program {
			t.Errorf("%s: %q, want %q in it\n%s", program, got.ActionErr, want, got.Content)
		}
		if strings.HasPrefix(program, "goto") {
			if got.URL != "http://127.0.0.1:1/" {
				t.Error(got.URL)
			}
			b.ok("go_back()")
		}
	}
	if s := b.do("GET_EVAL_GOAL"); !s.Error || !strings.Contains(s.Content, "no evaluation environment") {
		t.Error(s.Content)
	}
}

func TestNavigation(t *testing.T) {
	b := start(t, map[string]string{
		"/1": `<title>First</title><a href="/2">Next Page</a> <a href="/2" target=_blank>New Window</a> <a id=js href="#" onclick="setTimeout(()=>location='/2',1)">Later</a>`,
		"/2": `<title>Second</title><a href="/1">Previous Page</a>`}, nil)
	s := b.ok(`goto("` + b.site + `/1")`)
	s = b.ok(`click("` + s.bid(t, "Next Page") + `")`)
	if !strings.Contains(s.Content, "RootWebArea 'Second'") || s.URL != b.site+"/2" {
		t.Errorf("%s", s.Content)
	}
	if s = b.ok("go_back()"); s.URL != b.site+"/1" || !strings.Contains(s.Content, "'First'") {
		t.Errorf("%s", s.Content)
	}
	if s = b.ok("go_forward()"); s.URL != b.site+"/2" || !strings.Contains(s.Content, "'Second'") {
		t.Errorf("%s", s.Content)
	}
	b.ok("go_forward()")
	s = b.ok("go_back()\nnoop(20)")
	s = b.ok(`click("` + s.bid(t, "Later") + `")`)
	if s.URL != b.site+"/2" {
		t.Errorf("%s", s.Content)
	}
	s = b.ok("go_back()")
	s = b.ok(`click("` + s.bid(t, "New Window") + `")`)
	if len(s.Pages) != 2 || s.Active != 1 || s.URL != b.site+"/2" || !strings.Contains(s.Content, "'Second'") {
		t.Errorf("%q %d %s", s.Pages, s.Active, s.Content)
	}
	if s = b.ok("tab_focus(0)"); s.Active != 0 || s.URL != b.site+"/1#" {
		t.Errorf("%q %d %s", s.Pages, s.Active, s.URL)
	}
	if s = b.ok(`new_tab()`); len(s.Pages) != 3 || s.Active != 2 || s.URL != "about:blank" {
		t.Errorf("%q %d %s", s.Pages, s.Active, s.URL)
	}
	if s = b.ok("tab_close()"); len(s.Pages) != 2 || s.Active != 0 {
		t.Errorf("%q %d %s", s.Pages, s.Active, s.URL)
	}
	b.ok("tab_close()")
	if s = b.ok("tab_close()"); len(s.Pages) != 1 || s.Active != 0 || s.URL != "about:blank" {
		t.Errorf("%q %d %s", s.Pages, s.Active, s.URL)
	}
}

func TestFrames(t *testing.T) {
	b := start(t, map[string]string{
		"/":     `<title>Outer</title><iframe src=/in style="margin:40px"></iframe><iframe srcdoc="<button>Second</button>"></iframe>`,
		"/in":   `<button onclick="this.textContent='pressed'">Inner</button><iframe src=/deep></iframe>`,
		"/deep": `<input placeholder=Deep>`,
	}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	inner, deep, second := s.bid(t, "Inner"), s.bid(t, "Deep"), s.bid(t, "Second")
	if inner[0] != 'a' || strings.Trim(inner[1:], "0123456789") != "" || !strings.HasPrefix(deep, "aA") || second[0] != 'b' {
		t.Errorf("bids %s, %s, %s in\n%s", inner, deep, second, s.Content)
	}
	s = b.ok(`click("` + inner + `")`)
	if s.bid(t, "'pressed'") != inner {
		t.Error(s.Content)
	}
	s = b.ok(`click("` + deep + `")` + "\n" + `fill("` + deep + `", "x")`)
	if s.Focused != deep || s.bid(t, "value='x'") != deep {
		t.Errorf("%q %s", s.Focused, s.Content)
	}
}

func TestUpload(t *testing.T) {
	b := start(t, map[string]string{"/": `<title>Upload</title><input type=file id=f onchange="out.textContent='File selected: '+f.files[0].name+' '+f.files[0].size"><div id=out></div>
<button onclick="f.click()">Pick</button>`}, nil)
	if err := os.WriteFile(filepath.Join(b.dir, "upload_test.txt"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := b.ok(`goto("` + b.site + `")`)
	for _, via := range []string{"Choose File", "'Pick'"} {
		s = b.ok(`upload_file("` + s.bid(t, via) + `", "` + b.dir + `/upload_test.txt")`)
		s.bid(t, "File selected: upload_test.txt 5")
	}
	b.ok(`upload_file("` + s.bid(t, "Pick") + `", "upload_test.txt")`)
}

func TestDownload(t *testing.T) {
	b := start(t, map[string]string{"/": `<a href=/file.csv>Get</a>`}, nil)
	program := `goto("` + b.site + `/file")`
	s := b.do(program)
	want := filepath.Join(b.dir, "file_1.csv")
	if s.Content != "Execution of the previous action "+program+" resulted in a file download. The downloaded file is saved at location: "+want || s.FilePath != want || s.Kind() != "download" {
		t.Errorf("%s %s %s", s.Kind(), s.FilePath, s.Content)
	}
	if got, err := os.ReadFile(want); err != nil || string(got) != "a,b\n1,2\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, ".downloads/report.csv")); err != nil {
		t.Error(err)
	}
	s = b.ok(`goto("` + b.site + `")`)
	if s = b.do(`click("` + s.bid(t, "Get") + `")`); s.FilePath != filepath.Join(b.dir, "file_2.csv") {
		t.Errorf("%s %s", s.FilePath, s.Content)
	}
}

func TestDrag(t *testing.T) {
	b := start(t, map[string]string{"/": `<title>Drag</title><div id=a draggable=true role=button aria-label=From ondragstart="event.dataTransfer.setData('text/plain','cargo')">drag</div>
<div id=b role=button aria-label=To style="height:100px;background:#ddd" ondragover="event.preventDefault()" ondrop="out.textContent='got '+event.dataTransfer.getData('text/plain')">here</div><p id=out></p>
<div role=button aria-label=Twice ondblclick="out.textContent='twice'">x</div><div role=button aria-label=Menu oncontextmenu="out.textContent='menu '+event.shiftKey;event.preventDefault()">x</div>`}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	s = b.ok(`drag_and_drop("` + s.bid(t, "From") + `", "` + s.bid(t, "'To'") + `")`)
	s.bid(t, "got cargo")
	s = b.ok(`dblclick("` + s.bid(t, "Twice") + `")`)
	s.bid(t, "'twice'")
	s = b.ok(`click("` + s.bid(t, "Menu") + `", button="right", modifiers=["Shift"])`)
	s.bid(t, "menu true")
}

// A page that asks is answered, else nothing would go on.
func TestDialog(t *testing.T) {
	b := start(t, map[string]string{"/": `<button onclick="alert(1); out.textContent='told '+confirm('?')+prompt('!')">Ask</button><p id=out></p>`}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	s = b.ok(`click("` + s.bid(t, "Ask") + `")`)
	s.bid(t, "told falsenull")
}

// What a click makes scripts ask the server for is waited for.
func TestFetch(t *testing.T) {
	b := start(t, map[string]string{"/": `<button onclick="fetch('/x').then(r=>r.text()).then(x=>out.textContent=x)">Ask</button><p id=out></p>`, "/x": "answered"}, nil)
	s := b.ok(`goto("` + b.site + `")`)
	s = b.ok(`click("` + s.bid(t, "Ask") + `")`)
	s.bid(t, "answered")
}
