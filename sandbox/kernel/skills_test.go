package kernel

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/testing/need"
)

// pythonHere runs code with our modules on the path, and gives what it prints.
func pythonHere(t *testing.T, dir, code, stdin string) string {
	t.Helper()
	modules, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Tool(t, "python3"), "-B", "-c", "import sys; sys.path.insert(0, "+`'`+modules+`'`+"); "+code)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	return string(out)
}

type edit map[string]any

// edits are commands for both editors, in a directory whose files make has made.
var edits = []edit{
	{"command": "view", "path": "D/a"},
	{"command": "view", "path": "D"},
	{"command": "view", "path": "D/a", "view_range": []int{2, 3}},
	{"command": "view", "path": "D/a", "view_range": []int{5, -1}},
	{"command": "view", "path": "D/a", "view_range": []int{5, 99}},
	{"command": "view", "path": "D/a", "view_range": []int{5, 2}},
	{"command": "view", "path": "D/a", "view_range": []int{0, 2}},
	{"command": "view", "path": "D/a", "view_range": []int{1}},
	{"command": "view", "path": "D", "view_range": []int{1, 2}},
	{"command": "view", "path": "D/none"},
	{"command": "view", "path": "relative"},
	{"command": "view", "path": "D/long"},
	{"command": "view", "path": "D/bin"},
	{"command": "view", "path": "D/x.pdf"},
	{"command": "view", "path": "D//./a"},
	{"command": "create", "path": "D/a", "file_text": "x"},
	{"command": "create", "path": "D/new"},
	{"command": "create", "path": "D/new", "file_text": "one\ntwo\n"},
	{"command": "create", "path": "D/no/such", "file_text": "x"},
	{"command": "undo_edit", "path": "D/new"},
	{"command": "undo_edit", "path": "D/new"},
	{"command": "str_replace", "path": "D/a", "old_str": "line 10\n", "new_str": "ten\nand more\n"},
	{"command": "str_replace", "path": "D/a", "old_str": "line", "new_str": "x"},
	{"command": "str_replace", "path": "D/a", "old_str": "", "new_str": "x"},
	{"command": "str_replace", "path": "D/a", "old_str": "  line 20  ", "new_str": " twenty "},
	{"command": "str_replace", "path": "D/a", "old_str": "nothing", "new_str": "x"},
	{"command": "str_replace", "path": "D/a", "old_str": "x", "new_str": "x"},
	{"command": "str_replace", "path": "D/a"},
	{"command": "str_replace", "path": "D/a", "old_str": "line 15"},
	{"command": "str_replace", "path": "D/crlf", "old_str": "b\nc", "new_str": "B\nC\nD"},
	{"command": "str_replace", "path": "D/latin", "old_str": "gr", "new_str": "Gr"},
	{"command": "str_replace", "path": "D", "old_str": "gr", "new_str": "Gr"},
	{"command": "str_replace", "path": "D/x.pdf", "old_str": "gr", "new_str": "Gr"},
	{"command": "insert", "path": "D/a", "insert_line": 3, "new_str": "new\n"},
	{"command": "insert", "path": "D/a", "insert_line": 0, "new_str": ""},
	{"command": "insert", "path": "D/a", "insert_line": 99, "new_str": "x"},
	{"command": "insert", "path": "D/a", "insert_line": -1, "new_str": "x"},
	{"command": "insert", "path": "D/a", "new_str": "x"},
	{"command": "insert", "path": "D/a", "insert_line": 1},
	{"command": "insert", "path": "D/tail", "insert_line": 1, "new_str": "x"},
	{"command": "insert", "path": "D/mixed", "insert_line": 2, "new_str": "x"},
	{"command": "undo_edit", "path": "D/a"},
	{"command": "undo_edit", "path": "D/a"},
	{"command": "undo_edit", "path": "D/crlf"},
	{"command": "jump", "path": "D/a"},
}

func makeFiles(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	var a strings.Builder
	for i := range 24 {
		a.WriteString("line " + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "\n")
	}
	for name, text := range map[string]string{
		"a": a.String(), "long": strings.Repeat("wörd ", 4000), "bin": "a\x00b", "x.pdf": "%PDF", "crlf": "a\r\nb\r\nc\r\n",
		"latin": "gr\xfc\xdfe\n", "tail": "no end", "mixed": "a\r\nb\nc\r\n", ".hidden": "", "sub/.h": "", "sub/file": "x",
	} {
		programAt(t, filepath.Join(dir, name), text)
	}
}

// snapshot is what the files hold.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	names, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			b.WriteString(name + ": " + string(text) + "\n")
		}
	}
	return b.String()
}

// The editor in the kernel and the one of the server say and do the same.
func TestTheEditorsAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	makeFiles(t, dir)
	list, err := json.Marshal(edits)
	if err != nil {
		t.Fatal(err)
	}
	out := pythonHere(t, dir, "import json, agentskills\n"+
		"for e in json.load(sys.stdin): print(json.dumps(agentskills.file_editor(**e)))", strings.ReplaceAll(string(list), `"D`, `"`+dir))
	said := strings.Split(strings.TrimSpace(out), "\n")
	theirs := snapshot(t, dir)

	makeFiles(t, dir)
	store, err := files.New(files.Config{Dir: dir, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`(?s)^<oh_aci_output_([0-9a-f]{32})>\n(\{.*\})\n</oh_aci_output_([0-9a-f]{32})>$`)
	for i, e := range edits {
		var text string
		var result struct {
			Output, Error *string
			Formatted     string `json:"formatted_output_and_error"`
		}
		m := form.FindStringSubmatch(unquote(t, said[i], &text))
		if m == nil || m[1] != m[3] || json.Unmarshal([]byte(m[2]), &result) != nil || (result.Error == nil) == (result.Output == nil) {
			t.Fatalf("%v gives %s", e, text)
		}
		if want := ofStore(t, store, e, dir); result.Formatted != want {
			t.Errorf("%v\nthe kernel's %q\nthe server's %q", e, result.Formatted, want)
		}
	}
	if ours := snapshot(t, dir); ours != theirs {
		t.Errorf("the kernel's files\n%q\nthe server's\n%q", theirs, ours)
	}
}

func unquoteAll(t *testing.T, list string, to *[]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), to); err != nil {
		t.Fatal(err)
	}
}

func unquote(t *testing.T, quoted string, to *string) string {
	t.Helper()
	if err := json.Unmarshal([]byte(quoted), to); err != nil {
		t.Fatal(err)
	}
	return *to
}

// ofStore performs the command with the server's editor.
func ofStore(t *testing.T, store *files.Store, e edit, dir string) string {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Command, Path string
		FileText      *string          `json:"file_text"`
		OldStr        *string          `json:"old_str"`
		NewStr        *string          `json:"new_str"`
		InsertLine    *json.RawMessage `json:"insert_line"`
		ViewRange     []int            `json:"view_range"`
	}
	if err := json.Unmarshal(bytes.ReplaceAll(b, []byte(`"D`), []byte(`"`+dir)), &a); err != nil {
		t.Fatal(err)
	}
	var o sandbox.Observation
	if a.ViewRange != nil {
		o, err = store.Read(dir, sandbox.ReadArgs{Path: a.Path, Impl: "oh_aci", ViewRange: a.ViewRange})
	} else {
		o, err = store.Edit(sandbox.EditArgs{Command: a.Command, Path: a.Path, FileText: a.FileText, OldStr: a.OldStr, NewStr: a.NewStr,
			InsertLine: a.InsertLine, Impl: "oh_aci"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.Content
}

func TestSkills(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	makeFiles(t, dir)
	programAt(t, dir+"/big", strings.Repeat("x\n", 250))
	cases := []struct{ code, want string }{
		{"open_file('none')", "ERROR: File none not found."},
		{"goto_line(1)", "ERROR: No file open. Use the open_file function first."},
		{"search_file('x')", "ERROR: No file specified or open. Use the open_file function first."},
		{"open_file('a', 50)", "ERROR: Line number must be between 1 and 24"},
		{"open_file('tail'); goto_line(2)", "[File: D/tail (1 lines total)]\n(this is the beginning of the file)\n1|no end\n(this is the end of the file)\n" +
			"ERROR: Line number must be between 1 and 1."},
		{"open_file('a', 3, 4)", "[File: D/a (24 lines total)]\n(this is the beginning of the file)\n1|line 00\n2|line 01\n3|line 02\n4|line 03\n" +
			"(20 more lines below)\n[Use `scroll_down` to view the next 100 lines of the file!]"},
		{"open_file('a', 12, 4)", "[File: D/a (24 lines total)]\n(9 more lines above)\n10|line 09\n11|line 10\n12|line 11\n13|line 12\n14|line 13\n" +
			"(10 more lines below)\n[Use `scroll_down` to view the next 100 lines of the file!]"},
		{"search_file('line 2', 'a')", `[Found 4 matches for "line 2" in a]` + "\nLine 21: line 20\nLine 22: line 21\nLine 23: line 22\nLine 24: line 23\n" + `[End of matches for "line 2" in a]`},
		{"search_file('none', 'a')", `[No matches found for "none" in a]`},
		{"search_dir('line 00')", `[Found 1 matches for "line 00" in ./]` + "\n./a (Line 1): line 00\n" + `[End of matches for "line 00" in ./]`},
		{"search_dir('nowhere')", `No matches found for "nowhere" in ./`},
		{"search_dir('x', 'none')", "ERROR: Directory none not found"},
		{"find_file('il')", `[Found 2 matches for "il" in ./]` + "\n./tail\n./sub/file\n" + `[End of matches for "il" in ./]`},
		{"find_file('none')", `[No matches found for "none" in ./]`},
		{"find_file('x', 'none')", "ERROR: Directory none not found"},
		{"parse_docx('a')", "[Reading DOCX file from a]\nERROR: The file could not be read as DOCX: File is not a zip file"},
		{"parse_pdf('none')", "ERROR: File none not found."},
	}
	var codes []string // with the module anew for each
	for _, c := range cases {
		codes = append(codes, c.code)
	}
	in, err := json.Marshal(codes)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	unquoteAll(t, pythonHere(t, dir, `
import agentskills, contextlib, importlib, io, json
said = []
for code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, vars(importlib.reload(agentskills)))
    said.append(out.getvalue())
print(json.dumps(said))`, string(in)), &said)
	for i, c := range cases {
		got := strings.TrimSpace(said[i])
		if want := strings.ReplaceAll(c.want, "D/", dir+"/"); got != want {
			t.Errorf("%s\ngives %q\nwant  %q", c.code, got, want)
		}
	}
	got := pythonHere(t, dir, "from agentskills import *\nopen_file('big'); scroll_down(); scroll_up()", "")
	if !strings.Contains(got, "(250 lines total)") && !strings.Contains(got, "(100 more lines above)\n101|x") {
		t.Error(got)
	}
}

// The documents of offices are read without anything to be installed.
func TestDocuments(t *testing.T) {
	got := pythonHere(t, t.TempDir(), `
import zipfile
from agentskills import *
for name, parts in {"a.docx": {"word/document.xml": "<w:d xmlns:w='w'><w:p><w:r><w:t>Hello</w:t><w:t> you</w:t></w:r></w:p><w:p/></w:d>"},
                    "a.pptx": {"ppt/slides/slide%d.xml" % n: "<a:s xmlns:a='a'><a:p><a:t>slide %d</a:t></a:p></a:s>" % n for n in (10, 2)}}.items():
    with zipfile.ZipFile(name, "w") as z:
        for part, text in parts.items(): z.writestr(part, text)
open("a.tex", "w").write("\\section{Title} % comment\n\\begin{x}Text \\emph{here}\\end{x}\n")
parse_docx("a.docx"); parse_pptx("a.pptx"); parse_latex("a.tex")`, "")
	want := "[Reading DOCX file from a.docx]\n@@ Page 1 @@\nHello you\n\n[Reading PowerPoint file from a.pptx]\n@@ Slide 1 @@\nslide 2\n\n@@ Slide 2 @@\nslide 10\n\n" +
		"[Reading LaTex file from a.tex]\n@@ Page 1 @@\nTitle \nText here\n\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// In a kernel they are there from the beginning, and what the user may not do is an exception.
func TestSkillsInTheKernel(t *testing.T) {
	ks := kernels(t, Config{Skills: true})
	if got := runCell(t, ks, "import agentskills; [f for f in agentskills.__all__ if f not in globals()]"); got != "[]" {
		t.Error(got)
	}
	if got := runCell(t, ks, "print(file_editor(command='view', path='/proc/1/none'))"); !strings.Contains(got, "does not exist") {
		t.Error(got)
	}
	if got := runCell(t, ks, "%who"); !strings.Contains(got, "agentskills") || strings.Contains(got, "open_file") {
		t.Error(got)
	}
}
