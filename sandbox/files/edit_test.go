package files

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

// script performs editor commands and checks what each says.
type script struct {
	*testing.T
	s   *Store
	dir string
}

func newScript(t *testing.T) script {
	s, dir := open(t)
	return script{t, s, dir}
}

func (c script) edit(a sandbox.EditArgs) (string, string) {
	c.Helper()
	o, err := c.s.Edit(a)
	if err != nil {
		c.Fatalf("%+v: %v", a, err)
	}
	r := o.Result.(sandbox.EditResult)
	if r.Path != a.Path || r.OldContent != a.OldStr || r.NewContent != a.NewStr || r.PrevExist || r.Impl != "oh_aci" {
		c.Errorf("%+v: result %+v", a, r)
	}
	return o.Content, *r.Diff
}

func (c script) wants(a sandbox.EditArgs, want string) {
	c.Helper()
	if got, _ := c.edit(a); got != want {
		c.Errorf("%s: %q\nwant %q", a.Command, got, want)
	}
}

func (c script) has(a sandbox.EditArgs, parts ...string) {
	c.Helper()
	got, _ := c.edit(a)
	for _, part := range parts {
		if !strings.Contains(got, part) {
			c.Errorf("%s: %q has no %q", a.Command, got, part)
		}
	}
}

func view(p string) sandbox.EditArgs { return sandbox.EditArgs{Command: "view", Path: p} }
func undo(p string) sandbox.EditArgs { return sandbox.EditArgs{Command: "undo_edit", Path: p} }
func create(p, s string) sandbox.EditArgs {
	return sandbox.EditArgs{Command: "create", Path: p, FileText: &s}
}
func replace(p, old, repl string) sandbox.EditArgs {
	return sandbox.EditArgs{Command: "str_replace", Path: p, OldStr: &old, NewStr: &repl}
}
func insert(p, line, s string) sandbox.EditArgs {
	raw := json.RawMessage(line)
	return sandbox.EditArgs{Command: "insert", Path: p, InsertLine: &raw, NewStr: &s}
}

// The file of the original's tests, as a write action leaves it.
const (
	testFile  = "This is a test file.\nThis file is for testing purposes.\n"
	reviewed  = "Review the changes and make sure they are as expected. Edit the file again if necessary."
	catN      = "Here's the result of running `cat -n` on "
	noReplace = "ERROR:\nNo replacement was performed"
)

func TestOriginalEditorTests(t *testing.T) {
	c := newScript(t)
	p := plant(t, c.dir, "test.txt", testFile)
	plant(t, c.dir, ".downloads/x", "")
	c.has(view(p), catN+p+":", "1\tThis is a test file.", "2\tThis file is for testing purposes.")
	c.wants(view(c.dir), "Here's the files and directories up to 2 levels deep in "+c.dir+", excluding hidden items:\n"+c.dir+"/\n"+p+
		"\n\n1 hidden files/directories in this directory are excluded. You can use 'ls -la "+c.dir+"' to see them.")

	q := c.dir + "/new.txt"
	c.has(create(q, "New file content"), "File created successfully")
	c.has(view(q), "New file content")
	c.has(create(c.dir+"/empty", ""), "File created successfully")
	c.has(view(c.dir+"/empty"), "1\t")
	c.wants(sandbox.EditArgs{Command: "create", Path: c.dir + "/none"}, "ERROR:\nParameter `file_text` is required for command: create.")
	c.has(create(q, "x"), "File already exists")

	c.wants(replace(p, "test file", "sample file"), "The file "+p+" has been edited. "+catN+"a snippet of "+p+
		":\n     1\tThis is a sample file.\n     2\tThis file is for testing purposes.\n     3\t\n"+reviewed)
	c.has(view(p), "This is a sample file.")
	tabs := c.dir + "/tabs.py"
	c.edit(create(tabs, "def test():\n\tprint(\"Hello, World!\")"))
	c.wants(replace(tabs, "def test():\n\tprint(\"Hello, World!\")", "def test():\n\tprint(\"Hello, Universe!\")"),
		"The file "+tabs+" has been edited. "+catN+"a snippet of "+tabs+":\n     1\tdef test():\n     2\t\tprint(\"Hello, Universe!\")\n"+reviewed)

	twice := plant(t, c.dir, "twice", "Test file line one\ntest file line two test\n")
	c.wants(replace(twice, "file", "x"), noReplace+". Multiple occurrences of old_str `file` in lines [1, 2]. Please ensure it is unique.")
	block := "a\nb\n"
	multi := plant(t, c.dir, "multi", block+"1\n2\n3\n4\n"+block)
	c.has(replace(multi, "a\nb", "x"), "[1, 7]")
	c.wants(replace(p, "Non-existent Line", "x"), noReplace+", old_str `Non-existent Line` did not appear verbatim in "+p+".")
	three := plant(t, c.dir, "three", "Line 1\nLine 2\nLine 3\n")
	c.wants(replace(three, "", "x"), noReplace+". Multiple occurrences of old_str `` in lines [1, 2, 3, 4]. Please ensure it is unique.")
	c.wants(sandbox.EditArgs{Command: "str_replace", Path: three}, "ERROR:\nParameter `old_str` is required for command: str_replace.")
	c.wants(replace(three, "Line 2", "Line 2"), "ERROR:\nInvalid `new_str` parameter: Line 2. No replacement was performed. `new_str` and `old_str` must be different.")
	old := "Line 2\n"
	c.wants(sandbox.EditArgs{Command: "str_replace", Path: three, OldStr: &old},
		"The file "+three+" has been edited. "+catN+"a snippet of "+three+":\n     1\tLine 1\n     2\tLine 3\n     3\t\n"+reviewed)

	ins := plant(t, c.dir, "ins", "Line 1\nLine 2\n")
	c.wants(insert(ins, "1", "Inserted"), "The file "+ins+" has been edited. "+catN+"a snippet of the edited file:\n     1\tLine 1\n     2\tInserted\n     3\tLine 2\n     4\t\n"+
		"Review the changes and make sure they are as expected (correct indentation, no duplicate lines, etc). Edit the file again if necessary.")
	c.has(insert(ins, `"1"`, ""), "1\tLine 1", "2\t\n", "3\tInserted")
	c.wants(insert(ins, "10", "x"), "ERROR:\nInvalid `insert_line` parameter: 10. It should be within the range of allowed values: [0, 4]")
	c.wants(insert(ins, `"abc"`, "x"), "ERROR:\nInvalid insert_line value: 'abc'. Expected an integer.")
	line := json.RawMessage("1")
	c.wants(sandbox.EditArgs{Command: "insert", Path: ins, InsertLine: &line}, "ERROR:\nParameter `new_str` is required for command: insert.")
	c.wants(sandbox.EditArgs{Command: "insert", Path: ins}, "ERROR:\nParameter `insert_line` is required for command: insert.")

	c.wants(undo(ins), "Last edit to "+ins+" undone successfully. "+catN+ins+":\n     1\tLine 1\n     2\tInserted\n     3\tLine 2\n     4\t\n")
	c.has(undo(ins), "Last edit to", "1\tLine 1\n     2\tLine 2")
	c.wants(undo(ins), "ERROR:\nNo edit history found for "+ins+".")
	c.wants(undo(c.dir+"/nowhere"), "ERROR:\nInvalid `path` parameter: "+c.dir+"/nowhere. The path "+c.dir+"/nowhere does not exist. Please provide a valid path.")

	big := plant(t, c.dir, "big", strings.Repeat("a line\n", 16_000))
	c.has(view(big), "<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you. You should retry")
}

func TestEditRefusals(t *testing.T) {
	c := newScript(t)
	p := plant(t, c.dir, "f", "x\n")
	pdf := plant(t, c.dir, "a.PDF", "x\n")
	bin := plant(t, c.dir, "bin", "\x00\x01")
	odd := plant(t, c.dir, "odd16", "\xff\xfeab\x00")
	large := plant(t, c.dir, "large", "")
	os.Truncate(large, 11_950_000)
	fifo := filepath.Join(c.dir, "fifo")
	syscall.Mkfifo(fifo, 0o644)
	const invalid, failed = "ERROR:\nInvalid `path` parameter: ", "ERROR:\nFile validation failed for "
	none := c.dir + "/no/such"
	for _, x := range []struct {
		a    sandbox.EditArgs
		want string
	}{
		{view("f"), invalid + "f. The path should be an absolute path, starting with `/`. Maybe you meant " + p + "?"},
		{view("g"), invalid + "g. The path should be an absolute path, starting with `/`."},
		{view(none), invalid + none + ". The path " + none + " does not exist. Please provide a valid path."},
		{create(p, "x"), invalid + p + ". File already exists at: " + p + ". Cannot overwrite files using command `create`."},
		{create(none, "x"), "ERROR:\nRan into [Errno 2] No such file or directory: '" + none + "' while trying to write to " + none},
		{create(p+"/x", "x"), "ERROR:\nRan into [Errno 20] Not a directory: '" + p + "/x' while trying to write to " + p + "/x"},
		{undo(c.dir), invalid + c.dir + ". The path " + c.dir + " is a directory and only the `view` command can be used on directories."},
		{undo(pdf), invalid + pdf + ". The path " + pdf + " points to a binary file (.PDF) and only the `view` command can be used on supported binary files."},
		{view(pdf), "ERROR:\nError in converting file to Markdown: no converter for .pdf files. Please use Python code to read " + pdf},
		{view(bin), failed + bin + ": File appears to be binary and this file type cannot be read or edited by this tool."},
		{view(odd), failed + odd + ": File appears to be binary and this file type cannot be read or edited by this tool."},
		{view(large), failed + large + ": File is too large (11.4MB). Maximum allowed size is 10MB."},
		{view(fifo), failed + fifo + ": It is not a regular file, and this tool reads and edits no other."},
		{replace("/dev/null", "a", "b"), failed + "/dev/null: It is not a regular file, and this tool reads and edits no other."},
		{sandbox.EditArgs{Command: "frob", Path: p}, "ERROR:\nUnrecognized command frob. The allowed commands for the oh_editor tool are: view, create, str_replace, insert, undo_edit"},
		{sandbox.EditArgs{Command: "frob", Path: none}, invalid + none + ". The path " + none + " does not exist. Please provide a valid path."},
		{view(p + "\x00"), "ERROR:\nRan into [Errno 22] Invalid argument: '" + p + "\\x00' while trying to read " + p + "\x00"},
	} {
		c.wants(x.a, x.want)
		if _, d := c.edit(x.a); d != "" {
			t.Errorf("%+v: a refused command has the diff %q", x.a, d)
		}
	}
	if _, err := c.s.Edit(sandbox.EditArgs{Path: p, Impl: "llm_based_edit"}); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Errorf("the client's editor: %v", err)
	}
}

func TestViewRange(t *testing.T) {
	s, dir := open(t)
	p := plant(t, dir, "f", "1\n2\n3\n4\n5\n")
	for _, c := range []struct {
		lines []int
		want  string
	}{
		{nil, catN + p + ":\n     1\t1\n     2\t2\n     3\t3\n     4\t4\n     5\t5\n     6\t\n"},
		{[]int{2, 3}, catN + p + ":\n     2\t2\n     3\t3\n"},
		{[]int{4, -1}, catN + p + ":\n     4\t4\n     5\t5\n"},
		{[]int{5, 9}, "NOTE: We only show up to 5 since there're only 5 lines in this file.\n" + catN + p + ":\n     5\t5\n"},
		{[]int{1}, "ERROR:\nInvalid `view_range` parameter: [1]. It should be a list of two integers."},
		{[]int{0, 3}, "ERROR:\nInvalid `view_range` parameter: [0, 3]. Its first element `0` should be within the range of lines of the file: [1, 5]."},
		{[]int{5, 2}, "ERROR:\nInvalid `view_range` parameter: [5, 2]. Its second element `2` should be greater than or equal to the first element `5`."},
	} {
		o, err := s.Read("/", sandbox.ReadArgs{Path: p, Impl: "oh_aci", ViewRange: c.lines})
		if err != nil || o.Content != c.want {
			t.Errorf("%v: %q, %v; want %q", c.lines, o.Content, err, c.want)
		}
	}
	o, _ := s.Read("/", sandbox.ReadArgs{Path: dir, Impl: "oh_aci", ViewRange: []int{1, 2}})
	if want := "ERROR:\nInvalid `view_range` parameter: [1, 2]. The `view_range` parameter is not allowed when `path` points to a directory."; o.Content != want {
		t.Errorf("range of a directory: %q, want %q", o.Content, want)
	}
}

func TestViewDirectory(t *testing.T) {
	s, dir := open(t)
	for _, name := range []string{"b/2/deep", "b/.hid", "a b/x", "c.txt", ".x/y", ".z", "b-c"} {
		plant(t, dir, name, "")
	}
	os.Symlink("b", filepath.Join(dir, "link"))
	os.Symlink("nowhere", filepath.Join(dir, "dangling"))
	got, err := s.view(dir, nil)
	want := "Here's the files and directories up to 2 levels deep in D, excluding hidden items:\n" +
		"D/\nD/a b/\nD/a b/x\nD/b/\nD/b-c\nD/b/2/\nD/c.txt\nD/dangling\nD/link/\nD/link/2/\n\n" +
		"2 hidden files/directories in this directory are excluded. You can use 'ls -la D' to see them."
	if got = strings.ReplaceAll(got, dir, "D"); err != nil || got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for i := range 400 {
		plant(t, dir, fmt.Sprintf("many/%0120d", i), "")
	}
	if got, _ := s.view(dir, nil); !strings.Contains(got, dirClipped+"\n\n2 hidden") || len(got) > 17_000 {
		t.Errorf("a large directory: %d bytes, ending in %q", len(got), got[len(got)-200:])
	}
}

func TestEditKeepsWhatItDoesNotTouch(t *testing.T) {
	utf16 := func(s string) string {
		b := []byte("\xff\xfe")
		for _, c := range s {
			b = append(b, byte(c), byte(c>>8))
		}
		return string(b)
	}
	for _, x := range []struct{ name, before, old, repl, after string }{
		{"crlf", "a\r\nb\r\nc\r\n", "b", "x\ny", "a\r\nx\r\ny\r\nc\r\n"},
		{"crlf over a line's end", "a\r\nb\r\nc\r\n", "a\nb\n", "x\n", "x\r\nc\r\n"},
		{"crlf as the model saw it", "a\r\nb\r\nc\r\n", "a\r\nb", "x\r\ny", "x\r\ny\r\nc\r\n"},
		{"mixed", "a\r\nb\nc\rd\n", "c", "x\ny", "a\r\nb\nx\ny\rd\n"},
		{"lf that gets crlf", "a\nb\n", "b", "x\r\ny", "a\nx\r\ny\n"},
		{"no newline at the end", "a\nb", "b", "x", "a\nx"},
		{"windows-1252", "caf\xe9 \x80 b\n", "b", "€é", "caf\xe9 \x80 \x80\xe9\n"},
		{"latin-1", "caf\xe9 \x81 b\n", "b", "é", "caf\xe9 \x81 \xe9\n"},
		{"utf-16", utf16("a\r\nb漢\r\n"), "b漢", "字\nx", utf16("a\r\n字\r\nx\r\n")},
		{"utf-8 with a mark", "\ufeffa\n", "a", "b", "\ufeffb\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newScript(t)
			p := plant(t, c.dir, "f", x.before)
			os.Chmod(p, 0o751)
			c.has(replace(p, x.old, x.repl), "has been edited")
			if got := content(t, p); got != x.after {
				t.Errorf("%q becomes %q, want %q", x.before, got, x.after)
			}
			c.has(insert(p, "1", "new"), "has been edited")
			if fi, _ := os.Stat(p); fi.Mode() != 0o751 {
				t.Errorf("mode %v after insert", fi.Mode())
			}
			c.has(undo(p), "undone")
			c.has(undo(p), "undone")
			if got := content(t, p); got != x.before {
				t.Errorf("undone: %q, want %q", got, x.before)
			}
			nothingElse(t, c.dir, "f")
		})
	}
}

func TestEditCannotEncode(t *testing.T) {
	c := newScript(t)
	p := plant(t, c.dir, "f", "caf\xe9\n")
	c.has(replace(p, "caf", "漢"), "ERROR:\nRan into ", " while trying to write to "+p)
	if got := content(t, p); got != "caf\xe9\n" {
		t.Errorf("the file is now %q", got)
	}
	c.has(undo(p), "No edit history")
}

func TestInsertCompletesTheLastLine(t *testing.T) {
	c := newScript(t)
	p := plant(t, c.dir, "f", "purposes.")
	c.has(insert(p, "1", "ins"), "     1\tpurposes.\n     2\tins\n     3\t\n")
	if got := content(t, p); got != "purposes.\nins\n" {
		t.Errorf("%q", got)
	}
}

func TestHistory(t *testing.T) {
	c := newScript(t)
	p := c.dir + "/f"
	c.edit(create(p, "v0"))
	c.has(undo(p), "undone", "v0") // what create made is its own past
	for i := range 13 {
		c.edit(replace(p, fmt.Sprint("v", i), fmt.Sprint("v", i+1)))
	}
	for i := 12; i >= 3; i-- {
		c.has(undo(p), fmt.Sprint("v", i))
	}
	c.has(undo(p), "No edit history")

	h := history{max: 1000}
	for i := range 100 {
		h.push(fmt.Sprint("f", i), make([]byte, 100))
	}
	if h.size > 1000 || len(h.entries) == 0 || h.entries[len(h.entries)-1].file != "f99" {
		t.Errorf("%d bytes in %d entries", h.size, len(h.entries))
	}
	h.push("big", make([]byte, 5000))
	if h.size != 0 || len(h.entries) != 0 {
		t.Errorf("an entry above the bound leaves %d bytes in %d entries", h.size, len(h.entries))
	}
}

func FuzzReplace(f *testing.F) {
	f.Add("a\r\nb\nc", "b", "x\ny")
	f.Add("\xff\xfea\x00\r\x00\n\x00", "a", "漢")
	f.Add("caf\xe9", " caf ", "\t")
	f.Add("aaa", "aa", "b")
	f.Add("", "", "x")
	f.Fuzz(func(t *testing.T, before, old, repl string) {
		s, dir := open(t)
		p := plant(t, dir, "f", before)
		o, err := s.Edit(replace(p, old, repl))
		if err != nil && utf8.ValidString(old) && utf8.ValidString(repl) {
			t.Fatal(err)
		}
		if err != nil || strings.HasPrefix(o.Content, "ERROR:") {
			if got := content(t, p); got != before {
				t.Fatalf("refused, and yet %q became %q", before, got)
			}
			return
		}
		was, err := decode([]byte(before))
		if err != nil {
			t.Fatalf("edited what is no text: %q", before)
		}
		now, err := decode([]byte(content(t, p)))
		if err != nil {
			t.Fatalf("made what is no text: %q", content(t, p))
		}
		if strings.Count(was.lines, old) > 1 && old != "" {
			t.Fatalf("replaced one of several %q in %q", old, was.lines)
		}
		if len(now.lines) == 0 && len(was.lines) > 0 && len(old) == 0 {
			t.Fatalf("%q emptied", was.lines)
		}
		if o, _ := s.Edit(undo(p)); strings.Contains(o.Content, "appears to be binary") {
			return // as the original: what the edit made of it can no longer be edited
		}
		if got := content(t, p); got != before {
			t.Fatalf("undone: %q, want %q", got, before)
		}
		nothingElse(t, dir, "f")
	})
}
