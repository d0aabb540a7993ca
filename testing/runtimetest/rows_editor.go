package runtimetest

import (
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// editorTexts checks every message of the editor that the tests of OpenHands' editor do not.
func editorTexts(s *site) {
	p := s.text("one\ntwo\nthree")
	dir := strings.TrimSuffix(p, "/test.txt")
	bad := func(e edited, text string) { s.Helper(); e.is("ERROR:\n" + text) }
	bad(s.edit("view", "test.txt"), "Invalid `path` parameter: test.txt. The path should be an absolute path, starting with `/`. Maybe you meant "+p+"?")
	bad(s.edit("view", "none.txt"), "Invalid `path` parameter: none.txt. The path should be an absolute path, starting with `/`.")
	bad(s.edit("str_replace", dir, arg("old_str", "a")), "Invalid `path` parameter: "+dir+". The path "+dir+" is a directory and only the `view` command can be used on directories.")
	bad(s.edit("dance", p), "Unrecognized command dance. The allowed commands for the oh_editor tool are: view, create, str_replace, insert, undo_edit")
	bad(s.edit("create", dir+"/no/such/dir/f", arg("file_text", "x")), "Ran into [Errno 2] No such file or directory: '"+dir+"/no/such/dir/f' while trying to write to "+dir+"/no/such/dir/f")
	for _, c := range []struct {
		at   []int
		text string
	}{
		{[]int{1}, "Invalid `view_range` parameter: [1]. It should be a list of two integers."},
		{[]int{0, 3}, "Invalid `view_range` parameter: [0, 3]. Its first element `0` should be within the range of lines of the file: [1, 3]."},
		{[]int{3, 2}, "Invalid `view_range` parameter: [3, 2]. Its second element `2` should be greater than or equal to the first element `3`."},
	} {
		s.want("a view", s.view(p, c.at...), "ERROR:\n"+c.text)
	}
	s.want("a view", s.view(dir, 1, 2), "ERROR:\nInvalid `view_range` parameter: [1, 2]. The `view_range` parameter is not allowed when `path` points to a directory.")
	s.want("a view", s.view(p, 2, 3), "Here's the result of running `cat -n` on "+p+":\n     2\ttwo\n     3\tthree\n")
	s.want("a view", s.view(p, 2, -1), "Here's the result of running `cat -n` on "+p+":\n     2\ttwo\n     3\tthree\n")
	s.want("a view", s.view(p, 3, 9), "NOTE: We only show up to 3 since there're only 3 lines in this file.\nHere's the result of running `cat -n` on "+p+":\n     3\tthree\n")
	s.copyTo("bytes.txt", s.dir, "\x00\x01\xff\xfe\x00")
	bad(s.edit("str_replace", dir+"/bytes.txt", arg("old_str", "a"), arg("new_str", "b")), "File validation failed for "+dir+"/bytes.txt: File appears to be binary and this file type cannot be read or edited by this tool.")
	s.edit("create", dir+"/made", arg("file_text", "x")).is("File created successfully at: " + dir + "/made")
	s.edit("insert", p, line("1"), arg("new_str", "new")).is("The file " + p + " has been edited. Here's the result of running `cat -n` on a snippet of the edited file:\n     1\tone\n     2\tnew\n     3\ttwo\n     4\tthree\n     5\t\n" +
		"Review the changes and make sure they are as expected (correct indentation, no duplicate lines, etc). Edit the file again if necessary.")
	s.edit("undo_edit", p).is("Last edit to " + p + " undone successfully. Here's the result of running `cat -n` on " + p + ":\n     1\tone\n     2\ttwo\n     3\tthree\n     4\t\n")
	diffs(s, dir)
}

// diffs are the unified diffs, without context, of edits.
func diffs(s *site, dir string) {
	head := func(p string) string { return "--- " + p + "\n+++ " + p + "\n" }
	for i, c := range []struct{ before, after, diff string }{
		{"", "New file content", "@@ -1 +1 @@\n-\n+New file content"},
		{"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b"},
	} {
		p := dir + "/created" + string(rune('a'+i))
		e := s.edit("create", p, arg("file_text", c.after))
		s.want("the diff of a file that is made", text(e.result.Diff), head(p)+c.diff)
	}
	for i, c := range []struct{ before, old, new, diff string }{
		{"a\nb\nc", "b", "X", "@@ -2 +2 @@\n-b\n+X"},
		{"a\nb", "b", "b\nc", "@@ -2,0 +3 @@\n+c"},
		{"a\nb\nc\n", "b\nc\n", "", "@@ -2,2 +1,0 @@\n-b\n-c"},
	} {
		p := dir + "/edited" + string(rune('a'+i))
		s.edit("create", p, arg("file_text", c.before))
		e := s.edit("str_replace", p, arg("old_str", c.old), arg("new_str", c.new))
		s.want("a diff", text(e.result.Diff), head(p)+c.diff)
	}
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// view is the editor's view, as a read; nil bounds are none.
func (s *site) view(path string, bounds ...int) string {
	s.Helper()
	o := s.file(sandbox.ReadArgs{Path: path, End: -1, Impl: "oh_aci", ViewRange: bounds})
	return s.kind(o, sandbox.KindRead).Content
}
