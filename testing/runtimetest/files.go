package runtimetest

import (
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// files is about the file actions, whose texts agents know by heart.
var files = []test{
	{"write, then read", func(r *rig) {
		home := r.sh("pwd")
		o := r.do(sandbox.Action{Args: sandbox.WriteArgs{Path: "hello.sh", Content: `echo "Hello, World!"`, End: -1}})
		r.want("the content", o.Content, "")
		if res, ok := o.Result.(sandbox.WriteResult); !ok || res.Path != home+"/hello.sh" {
			r.Errorf("%+v", o.Result)
		}
		r.prints("sh hello.sh", "Hello, World!", 0)
		o = r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: "hello.sh", End: -1}})
		r.want("the content", o.Content, "echo \"Hello, World!\"\n")
		if res, ok := o.Result.(sandbox.ReadResult); !ok || res.Path != home+"/hello.sh" {
			r.Errorf("%+v", o.Result)
		}
	}},
	{"lines of a file", func(r *rig) {
		r.do(sandbox.Action{Args: sandbox.WriteArgs{Path: "deep/er/five", Content: "l1\nl2\nl3\nl4\nl5", End: -1}})
		for _, c := range []struct {
			start, end int
			want       string
		}{{0, -1, "l1\nl2\nl3\nl4\nl5\n"}, {2, -1, "l3\nl4\nl5\n"}, {1, 3, "l2\nl3\n"}, {9, -1, ""}} {
			o := r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: "deep/er/five", Start: c.start, End: c.end}})
			r.want("the lines", o.Content, c.want)
		}
		r.do(sandbox.Action{Args: sandbox.WriteArgs{Path: "deep/er/five", Content: "new", Start: 1, End: 4}})
		r.want("the file", r.sh("cat deep/er/five"), "l1\nnew\nl5")
	}},
	{"what cannot be read", func(r *rig) {
		home := r.sh("mkdir -p folder && pwd")
		for path, want := range map[string]string{
			"nope.txt": "File not found: " + home + "/nope.txt. Your current working directory is " + home + ".",
			"folder":   "Path is a directory: " + home + "/folder. You can only read files",
		} {
			o := r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: path, End: -1}})
			if o.Kind() != sandbox.KindError {
				r.Errorf("%s: a %s observation", path, o.Kind())
			}
			r.want("the content", o.Content, want)
		}
	}},
	{"paths begin where the shell is", func(r *rig) {
		r.sh("mkdir -p here && cd here && echo inside > f")
		o := r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: "f", End: -1}})
		r.want("the content", o.Content, "inside\n")
		r.sh("cd ..")
	}},
	{"edit and undo", func(r *rig) {
		path := r.sh("pwd") + "/t.txt"
		text, from, to := "This is a test file.\nThis file is for testing purposes.", "test file", "sample file"
		edit := func(a sandbox.EditArgs) (sandbox.Observation, sandbox.EditResult) {
			r.Helper()
			a.Path, a.Impl, a.Start, a.End = path, "oh_aci", 1, -1
			o := r.do(sandbox.Action{Args: a})
			res, ok := o.Result.(sandbox.EditResult)
			if !ok {
				r.Fatalf("%s: a %s observation: %q", a.Command, o.Kind(), o.Content)
			}
			return o, res
		}
		o, _ := edit(sandbox.EditArgs{Command: "create", FileText: &text})
		r.want("the content", o.Content, "File created successfully at: "+path)

		o, res := edit(sandbox.EditArgs{Command: "str_replace", OldStr: &from, NewStr: &to})
		r.want("the content", o.Content, "The file "+path+" has been edited. Here's the result of running `cat -n` on a snippet of "+path+":\n     1\tThis is a sample file.\n     2\tThis file is for testing purposes.\nReview the changes and make sure they are as expected. Edit the file again if necessary.")
		if res.OldContent == nil || *res.OldContent != from || res.NewContent == nil || *res.NewContent != to || res.Diff == nil {
			r.Errorf("%+v", res)
		} else {
			r.want("the diff", *res.Diff, "--- "+path+"\n+++ "+path+"\n@@ -1 +1 @@\n-This is a test file.\n+This is a sample file.")
		}
		o, _ = edit(sandbox.EditArgs{Command: "view"})
		r.wantContains("the view", o.Content, "     1\tThis is a sample file.\n     2\tThis file is for testing purposes.")

		o, _ = edit(sandbox.EditArgs{Command: "str_replace", OldStr: &from, NewStr: &to})
		r.wantContains("the refusal", o.Content, "ERROR:\nNo replacement was performed, old_str `test file` did not appear verbatim in "+path)
		o, _ = edit(sandbox.EditArgs{Command: "create", FileText: &text})
		r.wantContains("the refusal", o.Content, "ERROR:\nInvalid `path` parameter: "+path+". File already exists at: ")

		o, _ = edit(sandbox.EditArgs{Command: "undo_edit"})
		r.wantContains("the content", o.Content, "Last edit to "+path+" undone successfully.")
		r.want("the file", r.sh("cat t.txt"), text)
	}},
	{"the editor's view", func(r *rig) {
		r.sh("seq 1 30 | sed 's/^/line /' > long")
		o := r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: r.sh("pwd") + "/long", End: -1, Impl: "oh_aci", ViewRange: []int{9, 11}}})
		r.wantContains("the view", o.Content, "     9\tline 9\n    10\tline 10\n    11\tline 11\n")
		if strings.Contains(o.Content, "line 12") || strings.Contains(o.Content, "line 8") {
			r.Errorf("more than was asked for: %q", o.Content)
		}
	}},
	{"a long file comes whole", func(r *rig) {
		line := strings.Repeat("0123456789", 10)
		text := strings.Repeat(line+"\n", 30_000) // 3 MB: longer than a frame of output may be
		r.do(sandbox.Action{Args: sandbox.WriteArgs{Path: "long.txt", Content: strings.TrimSuffix(text, "\n"), End: -1}})
		o := r.do(sandbox.Action{Args: sandbox.ReadArgs{Path: "long.txt", End: -1}})
		if o.Content != text {
			r.Errorf("%d bytes, want %d", len(o.Content), len(text))
		}
	}},
}
