package runtimetest

import (
	"regexp"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

var withPython = Want{Jupyter: true}

// ipythonRows are the tests of tests/runtime/test_ipython.py.
var ipythonRows = []Row{
	{Name: "test_simple_cmd_ipython_and_fileop", About: "a command, a cell, a read that fails, a write, a read", Needs: []string{"bash", needIPython}, want: withPython, run: func(s *site) {
		s.cmd("ls -l").exits(0).has("total 0")
		s.cell("print('Hello, `World`!\\n')").is("Hello, `World`!")
		s.wantContains("the read of what is not there", s.kind(s.read("hello.sh"), sandbox.KindError).Content, "File not found: "+s.in("hello.sh"))
		o := s.write("hello.sh", `echo "Hello, World!"`)
		s.want("the content of the write", o.Content, "")
		s.want("its path", o.Result.(sandbox.WriteResult).Path, s.in("hello.sh"))
		s.reads("hello.sh", "echo \"Hello, World!\"\n")
	}},
	{Name: "test_ipython_simple", About: "the exact content of a cell", Needs: []string{"bash", needIPython}, want: withPython, run: func(s *site) {
		s.cell("print(1)").is("1")
		s.cell("x = 41").is("[Code executed successfully with no output]")
		s.cell("x + 1").is("42")
	}},
	{Name: "test_ipython_chdir", About: "the kernel's directory changes and stays", Needs: []string{"bash", needIPython}, want: withPython, run: func(s *site) {
		s.cell("import os\nos.makedirs('test', exist_ok=True)\nos.chdir(os.path.abspath('test'))\nprint(os.getcwd())").is(s.in("test"))
		s.cell("import os\nprint(os.getcwd())").is(s.in("test"))
	}},
	{Name: "test_ipython_package_install", About: "a missing module, %pip install, the module", Needs: []string{"bash", needIPython, needNetwork}, want: withPython, run: func(s *site) {
		s.cell("import pymsgbox").has("ModuleNotFoundError: No module named 'pymsgbox'")
		c := s.cell("%pip install --break-system-packages --target=./packages pymsgbox==1.0.9")
		if !strings.Contains(c.text, "Successfully installed pymsgbox-1.0.9") && !strings.Contains(c.text, "[Package installed successfully]") {
			c.fail("want it installed")
		}
		s.cell("import sys\nsys.path.insert(0, 'packages')\nimport pymsgbox").is("[Code executed successfully with no output]")
	}},
	{Name: "test_ipython_file_editor_permissions_as_openhands", About: "file_editor has the user's rights", Needs: []string{"bash", needIPython, needUser}, want: Want{Jupyter: true, User: true}, run: func(s *site) {
		s.cell("file_editor(command='view', path='/root/test.txt')").has("Permission denied")
		s.cell("file_editor(command='create', path='/root/test.txt', file_text='x')").has("Permission denied")
		fileEditor(s)
	}, lacks: func(s *site, missing string) {
		if missing != needUser {
			s.without(missing)
			return
		}
		fileEditor(s) // the same user: there are no rights to lack
	}},
}

func fileEditor(s *site) {
	s.Helper()
	p := s.in("test.txt")
	s.cell("file_editor(command='create', path='" + p + "', file_text='Line 1\\nLine 2\\nLine 3')").has("File created successfully")
	s.cell("file_editor(command='str_replace', path='" + p + "', old_str='Line 2', new_str='New Line 2')").has("has been edited")
	s.cell("file_editor(command='undo_edit', path='" + p + "')").has("Last edit to " + p + " undone successfully")
	s.cell("file_editor(command='view', path='" + p + "')").has("Line 2").hasNot("New Line 2")
}

// trailer is what stands behind the output of a cell.
var trailer = regexp.MustCompile(`\n\[Jupyter current working directory: (.*)\]\n\[Jupyter Python interpreter: (/.*)\]$`)

// cell runs a Python cell; its text is without the trailer, which must be there.
func (s *site) cell(code string) ran {
	s.Helper()
	o := s.do(sandbox.Action{Args: sandbox.IPythonArgs{Code: code, IncludeExtra: true}, Timeout: clientTimeout})
	r := ran{s: s, command: code, text: o.Content, kind: o.Kind()}
	m := trailer.FindStringSubmatchIndex(o.Content)
	if o.Kind() != sandbox.KindIPython || m == nil {
		r.fail("want a cell's observation, with the lines in brackets")
		return r
	}
	if dir := o.Content[m[2]:m[3]]; dir != s.dir {
		r.fail("want the shell's directory, %s, in the lines in brackets", s.dir)
	}
	r.text = o.Content[:m[0]]
	return r
}
