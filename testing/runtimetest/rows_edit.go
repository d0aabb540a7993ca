package runtimetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// editRows are the tests of OpenHands' tests/runtime/test_aci_edit.py, by their names. Files are made by write, which
// ends every line.
var editRows = []Row{
	{Name: "test_view_file", About: "numbered lines", run: func(s *site) {
		p := s.text("This is a test file.\nThis file is for testing purposes.")
		s.edit("view", p).is("Here's the result of running `cat -n` on " + p + ":\n     1\tThis is a test file.\n     2\tThis file is for testing purposes.\n     3\t\n")
	}},
	{Name: "test_view_directory", About: "the exact text, hidden entries counted", run: func(s *site) {
		p := s.text("x")
		s.write(s.in(".downloads/x"), "x")
		dir := strings.TrimSuffix(p, "/test.txt")
		s.edit("view", dir).is(fmt.Sprintf("Here's the files and directories up to 2 levels deep in %[1]s, excluding hidden items:\n%[1]s/\n%[1]s/test.txt\n\n"+
			"1 hidden files/directories in this directory are excluded. You can use 'ls -la %[1]s' to see them.", dir))
	}},
	{Name: "test_create_file", About: "a file is made and can be viewed", run: func(s *site) {
		p := s.in("new_file.txt")
		s.edit("create", p, arg("file_text", "New file content")).has("File created successfully")
		s.edit("view", p).has("1\tNew file content")
	}},
	{Name: "test_create_file_with_empty_content", About: "an empty file", run: func(s *site) {
		p := s.in("new_file.txt")
		s.edit("create", p, arg("file_text", "")).has("File created successfully")
		s.edit("view", p).has("1\t")
	}},
	{Name: "test_create_with_none_file_text", About: "file_text is required", run: func(s *site) {
		s.edit("create", s.in("new_file.txt")).is("ERROR:\nParameter `file_text` is required for command: create.")
	}},
	{Name: "test_str_replace", About: "one text for another", run: func(s *site) {
		p := s.text("This is a test file.\nThis file is for testing purposes.")
		s.edit("str_replace", p, arg("old_str", "test file"), arg("new_str", "sample file")).has("The file "+p+" has been edited", "This is a sample file.")
		s.edit("view", p).has("This is a sample file.")
	}},
	{Name: "test_str_replace_multi_line", About: "over a line's end", run: func(s *site) {
		p := s.text("This is a test file.\nThis file is for testing purposes.")
		s.edit("str_replace", p, arg("old_str", "This is a test file.\nThis file is for testing purposes."), arg("new_str", "This is a sample file.\nThis file is for testing purposes.")).
			has("The file "+p+" has been edited.", "This is a sample file.", "This file is for testing purposes.")
	}},
	{Name: "test_str_replace_multi_line_with_tabs", About: "the exact text, with tabs and without a final line end", run: func(s *site) {
		p := s.in("test.py")
		s.edit("create", p, arg("file_text", "def test():\n\tprint(\"Hello, World!\")"))
		s.edit("str_replace", p, arg("old_str", "def test():\n\tprint(\"Hello, World!\")"), arg("new_str", "def test():\n\tprint(\"Hello, Universe!\")")).
			is("The file " + p + " has been edited. Here's the result of running `cat -n` on a snippet of " + p + ":\n     1\tdef test():\n     2\t\tprint(\"Hello, Universe!\")\n" +
				"Review the changes and make sure they are as expected. Edit the file again if necessary.")
	}},
	{Name: "test_str_replace_error_multiple_occurrences", About: "in which lines", run: func(s *site) {
		p := s.text("This is a test file.\nThis file is for testing purposes.")
		s.edit("str_replace", p, arg("old_str", "test"), arg("new_str", "sample")).
			is("ERROR:\nNo replacement was performed. Multiple occurrences of old_str `test` in lines [1, 2]. Please ensure it is unique.")
	}},
	{Name: "test_str_replace_error_multiple_multiline_occurrences", About: "in which lines, of texts over several", run: func(s *site) {
		block := "def example():\n    print(\"Hello\")\n    print(\"World\")\n"
		p := s.text(block + "\n\n\n" + block)
		s.edit("str_replace", p, arg("old_str", "    print(\"Hello\")\n    print(\"World\")"), arg("new_str", "    pass")).has("Multiple occurrences of old_str", "[2, 8]")
		s.edit("str_replace", p, arg("old_str", block), arg("new_str", "x")).has("[1, 7]")
	}},
	{Name: "test_str_replace_nonexistent_string", About: "a text that is not there", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("str_replace", p, arg("old_str", "Non-existent Line"), arg("new_str", "New Line")).
			is("ERROR:\nNo replacement was performed, old_str `Non-existent Line` did not appear verbatim in " + p + ".")
	}},
	{Name: "test_str_replace_with_empty_new_str", About: "a text is taken out", run: func(s *site) {
		p := s.text("Line 1\nLine to remove\nLine 3")
		s.edit("str_replace", p, arg("old_str", "Line to remove\n"), arg("new_str", ""))
		s.edit("view", p).has("Line 1", "Line 3").hasNot("Line to remove")
	}},
	{Name: "test_str_replace_with_empty_old_str", About: "nothing is everywhere", run: func(s *site) {
		p := s.text("Line 1\nLine 2\nLine 3")
		s.edit("str_replace", p, arg("old_str", ""), arg("new_str", "New string")).
			is("ERROR:\nNo replacement was performed. Multiple occurrences of old_str `` in lines [1, 2, 3, 4]. Please ensure it is unique.")
	}},
	{Name: "test_str_replace_with_none_old_str", About: "old_str is required", run: func(s *site) {
		s.edit("str_replace", s.text("Line 1\nLine 2"), arg("new_str", "new")).is("ERROR:\nParameter `old_str` is required for command: str_replace.")
	}},
	{Name: "test_insert", About: "a line after a line", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("insert", p, line("1"), arg("new_str", "Inserted line")).has("The file " + p + " has been edited")
		s.edit("view", p).has("1\tLine 1\n", "2\tInserted line\n", "3\tLine 2\n")
	}},
	{Name: "test_insert_invalid_line", About: "a line that there is not", run: func(s *site) {
		s.edit("insert", s.text("Line 1\nLine 2"), line("10"), arg("new_str", "Invalid Insert")).
			is("ERROR:\nInvalid `insert_line` parameter: 10. It should be within the range of allowed values: [0, 2]")
	}},
	{Name: "test_insert_with_empty_string", About: "an empty line", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("insert", p, line("1"), arg("new_str", ""))
		s.edit("view", p).has("1\tLine 1", "2\t\n", "3\tLine 2")
	}},
	{Name: "test_insert_with_none_new_str", About: "new_str is required", run: func(s *site) {
		s.edit("insert", s.text("Line 1\nLine 2"), line("1")).is("ERROR:\nParameter `new_str` is required for command: insert.")
	}},
	{Name: "test_undo_edit", About: "the text before the last edit", run: func(s *site) {
		p := s.text("This is a test file.\nThis file is for testing purposes.")
		s.edit("str_replace", p, arg("old_str", "test file"), arg("new_str", "sample file")).has("This is a sample file.")
		s.edit("undo_edit", p).has("Last edit to "+p+" undone successfully. ", "This is a test file.")
		s.edit("view", p).has("This is a test file.")
	}},
	{Name: "test_validate_path_invalid", About: "a path that does not exist", run: func(s *site) {
		p := s.in("invalid.txt")
		s.edit("view", p).is("ERROR:\nInvalid `path` parameter: " + p + ". The path " + p + " does not exist. Please provide a valid path.")
	}},
	{Name: "test_create_existing_file_error", About: "create does not overwrite", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("create", p, arg("file_text", "New content")).
			is("ERROR:\nInvalid `path` parameter: " + p + ". File already exists at: " + p + ". Cannot overwrite files using command `create`.")
	}},
	{Name: "test_str_replace_missing_old_str", About: "an empty old_str in several lines", run: func(s *site) {
		s.edit("str_replace", s.text("Line 1\nLine 2"), arg("old_str", ""), arg("new_str", "sample")).has("Multiple occurrences of old_str `` in lines [1, 2, 3]")
	}},
	{Name: "test_str_replace_new_str_and_old_str_same", About: "a text for itself", run: func(s *site) {
		s.edit("str_replace", s.text("Line 1\nLine 2"), arg("old_str", "Line 1"), arg("new_str", "Line 1")).
			has("No replacement was performed. `new_str` and `old_str` must be different.")
	}},
	{Name: "test_insert_missing_line_param", About: "insert_line is required", run: func(s *site) {
		s.edit("insert", s.text("Line 1\nLine 2"), arg("new_str", "Missing insert line")).has("Parameter `insert_line` is required for command: insert.")
	}},
	{Name: "test_undo_edit_no_history_error", About: "a file that was not edited", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("undo_edit", p).is("ERROR:\nNo edit history found for " + p + ".")
	}},
	{Name: "test_view_large_file_with_truncation", About: "what is cut off is said", run: func(s *site) {
		p := s.text(strings.Repeat("Line of text\n", 16000))
		s.edit("view", p).has("<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you.")
	}},
	{Name: "test_insert_line_string_conversion", About: "a line number that is a string", run: func(s *site) {
		p := s.text("Line 1\nLine 2")
		s.edit("insert", p, line(`"1"`), arg("new_str", "Inserted")).has("has been edited")
		s.edit("insert", p, line(`"abc"`), arg("new_str", "x")).is("ERROR:\nInvalid insert_line value: 'abc'. Expected an integer.")
	}},
}

// in is an absolute path in the workspace.
func (s *site) in(path string) string {
	s.Helper()
	if s.dir == "" { // there is no shell to ask
		_, rest, _ := strings.Cut(s.read("nothing").Content, "Your current working directory is ")
		s.dir = strings.TrimSuffix(rest, ".")
	}
	return s.dir + "/" + path
}

// text makes the file test.txt and gives its path.
func (s *site) text(content string) string {
	s.Helper()
	p := s.in("test.txt")
	s.write(p, content)
	return p
}

// edited is what the editor answers, with checks that can be chained.
type edited struct {
	ran
	result sandbox.EditResult
}

func arg(name, value string) func(*sandbox.EditArgs) {
	return func(a *sandbox.EditArgs) {
		switch name {
		case "file_text":
			a.FileText = &value
		case "old_str":
			a.OldStr = &value
		case "new_str":
			a.NewStr = &value
		}
	}
}

// line is insert_line, in JSON.
func line(n string) func(*sandbox.EditArgs) {
	return func(a *sandbox.EditArgs) {
		raw := json.RawMessage(n)
		a.InsertLine = &raw
	}
}

func (s *site) edit(command, path string, args ...func(*sandbox.EditArgs)) edited {
	s.Helper()
	a := sandbox.EditArgs{Path: path, Command: command, Impl: "oh_aci", Start: 1, End: -1}
	for _, set := range args {
		set(&a)
	}
	o := s.file(a)
	e := edited{ran: ran{s: s, command: command + " " + path, text: o.Content, kind: o.Kind()}}
	var ok bool
	if e.result, ok = o.Result.(sandbox.EditResult); !ok {
		e.fail("want an edit observation")
	}
	return e
}
