package browser

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for program, want := range map[string][]step{
		`click("12")`:                        {{name: "click", args: []any{"12"}}},
		"noop()\n\nnoop(500) # wait":         {{name: "noop"}, {name: "noop", args: []any{500}}},
		`fill('a1', "it's\n\x41\u00e9\\\q")`: {{name: "fill", args: []any{"a1", "it's\nAé\\\\q"}}},
		`fill("1", '''two
lines''')`: {{name: "fill", args: []any{"1", "two\nlines"}}},
		`select_option("3", ["a", 'b',],)`:                           {{name: "select_option", args: []any{"3", []any{"a", "b"}}}},
		"```python\nclick('1', button=\"right\", modifiers=[])\n```": {{name: "click", args: []any{"1"}, named: []named{{"button", "right"}, {"modifiers", []any{}}}}},
		`I will click(this) now: hover("2") scroll(-1.5, 2e2)`:       nil,
		`Text (in brackets). scroll(-1.5, 2e2)`:                      {{name: "scroll", args: []any{-1.5, 200.0}}},
		"# click('1')\nnoop(True, None, False)":                      {{name: "noop", args: []any{true, nil, false}}},
		`send_msg_to_user("click('9')")`:                             {{name: "send_msg_to_user", args: []any{"click('9')"}}},
		`"click('9')" new_tab ( )`:                                   {{name: "new_tab"}},
	} {
		got, err := parse(program)
		if want == nil {
			if err == nil {
				t.Errorf("%s: %+v, want an error", program, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", program, got, err, want)
		}
	}
	for program, want := range map[string]string{
		"":                                 "ValueError: Received an empty action.",
		"just words":                       "ValueError: Received an empty action.",
		"jump(1)":                          "NameError: Invalid action type 'jump'.",
		"noop()\nclick(12":                 "SyntaxError: line 2",
		`fill("1", "no end`:                "SyntaxError: line 1",
		`fill(value="1", "2")`:             "SyntaxError",
		strings.Repeat("a('''", 1<<17):     "ValueError",
		strings.Repeat("noop()", 1001):     "more than 1000 calls",
		strings.Repeat(" ", maxProgram+1):  "more than 1048576 bytes",
		"click(" + strings.Repeat("[", 30): "SyntaxError",
	} {
		if _, err := parse(program); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", program, err, want)
		}
	}
}

func TestBind(t *testing.T) {
	for program, want := range map[string]string{
		"click()":                      "TypeError: click() missing 1 required positional argument: 'bid'",
		"click('1', bid='2')":          "TypeError: click() got multiple values for argument 'bid'",
		"click('1', at=2)":             "TypeError: click() got an unexpected keyword argument 'at'",
		"go_back(1)":                   "TypeError: go_back() takes 0 positional arguments but 1 were given",
		"scroll('up', 1)":              "TypeError: scroll() argument 'delta_x' must be a number",
		"tab_focus(1.5)":               "TypeError: tab_focus() argument 'index' must be an integer",
		"select_option('1', [[]])":     "TypeError: select_option() argument 'options' must be a string or a list of strings",
		"click(12, modifiers='Shift')": "",
		"tab_focus(1.0)":               "",
	} {
		steps, err := parse(program)
		if err != nil {
			t.Fatal(err)
		}
		op, _ := lookUp(steps[0].name)
		if _, err = bind(steps[0], op.params); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", program, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`click("1")`, "fill('a', '''x''')\n# c\nnoop(1e3)", `select_option(bid="1", options=["\x41\u1234\777"])`, "a(b(", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := parse(s)
		if err == nil && (len(steps) == 0 || len(steps) > maxCalls) {
			t.Errorf("%d steps and no error", len(steps))
		}
		for _, s := range steps {
			op, ok := lookUp(s.name)
			if !ok {
				t.Fatalf("%q is no word", s.name)
			}
			if bound, err := bind(s, op.params); err == nil && len(bound) != len(op.params) {
				t.Error("arguments are missing")
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"Enter", "Control+a", "Shift++", "+", "F12", "ControlOrMeta+Shift+Z", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if stroke, err := strokeOf(s); err == nil {
			if n := len(stroke.events()); n != 2*(1+len(stroke.held)) {
				t.Errorf("%d events of %q", n, s)
			}
		}
	})
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"http://x/y": "http://x/y", "HTTPS://x": "HTTPS://x", "example.com/a": "http://example.com/a", "localhost:8000": "http://localhost:8000",
		"/a b/c.html": "file:///a%20b/c.html", "./x.html": "file:///work/x.html", "../x.html": "file:///x.html", "about:blank": "about:blank",
		"data:text/html,x": "data:text/html,x", " x ": "http://x", "": "", "javascript:alert(1)": "", "JavaScript:0": "",
	} {
		if got, err := address(in, "/work"); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"http://x", "x:1", "/../..", "javascript:x", "\x00", "./%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := address(s, "/work")
		if err == nil && !strings.Contains(got, ":") {
			t.Errorf("%q: %q has no scheme", s, got)
		}
	})
}

func TestRepr(t *testing.T) {
	for in, want := range map[string]string{"a": "'a'", "it's": `"it's"`, `it's "so"`: `'it\'s "so"'`, "a\nb\x00\u200b": `'a\nb\x00\u200b'`, `\`: `'\\'`, "ü🎉": "'ü🎉'"} {
		if got := repr(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
