package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func TestWriteLines(t *testing.T) {
	const three = "1\n2\n3\n"
	for _, c := range []struct {
		old, content string
		start, end   int
		want         string
	}{
		{three, "a", 0, -1, "a\n"},
		{three, "a\n", 0, -1, "a\n\n"},
		{three, "", 0, -1, "\n"},
		{three, "a", 0, 0, "a\n1\n2\n3\n"},
		{three, "a\nb", 1, 2, "1\na\nb\n3\n"},
		{three, "a", 9, -1, "1\n2\n3\na\n"},
		{three, "a", -1, -1, "1\n2\na\n"}, // a Python slice bound
		{three, "a", 0, -2, "a\n2\n3\n"},
		{"1\r\n2\r\n", "a", 1, 1, "1\r\na\r\n2\r\n"},
		{"1\r\n2\n", "a", 1, 1, "1\r\na\n2\n"},
		{"1\r\n2\r\n", "a\nb", 0, -1, "a\nb\n"},
		{"1", "a", 1, -1, "1\na\n"},
	} {
		if got := writeLines(newText(c.old, nil), c.content, c.start, c.end); got != c.want {
			t.Errorf("%q over lines %d to %d of %q: %q, want %q", c.content, c.start, c.end, c.old, got, c.want)
		}
	}
}

func TestWrite(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "latin", "caf\xe9")
	plant(t, dir, "d/in", "")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	full := func(name string) string { return dir + "/" + name }
	for _, c := range []struct {
		path, text string // the text of an error observation; "" if it is written
	}{
		{"new/deep/er", ""},
		{"./d//in", ""},
		{full("x"), ""},
		{"d", "Path is a directory: " + full("d") + ". You can only write to files"},
		{"", "Path is a directory: " + dir + ". You can only write to files"},
		{"latin", "File could not be decoded as utf-8: " + full("latin")},
		{"fifo", "Path is not a regular file: " + full("fifo") + ". You can only write to files"},
		{"/dev/full", "Path is not a regular file: /dev/full. You can only write to files"},
	} {
		o, err := s.Write(dir, sandbox.WriteArgs{Path: c.path, Content: "hi", End: -1})
		if err != nil || o.Content != c.text {
			t.Errorf("write %s: %q, %v; want %q", c.path, o.Content, err, c.text)
		} else if r, ok := o.Result.(sandbox.WriteResult); c.text == "" && (!ok || content(t, r.Path) != "hi\n") {
			t.Errorf("write %s: result %+v", c.path, o.Result)
		}
	}
	if _, err := s.Write(dir, sandbox.WriteArgs{Path: "x/y/z", End: -1}); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("write below a file: %v", err)
	}
	nothingElse(t, dir, "latin", "fifo", "x", "d/in", "new/deep/er")
	if fi, err := os.Stat(full("x")); err != nil || fi.Mode() != 0o664 {
		t.Errorf("a new file has mode %v, want 0664", fi.Mode())
	}
}

func TestWriteKeepsModeLinkAndOtherNames(t *testing.T) {
	s, dir := open(t)
	p := plant(t, dir, "run.sh", "x")
	os.Chmod(p, 0o751)
	os.Symlink("run.sh", filepath.Join(dir, "link"))
	if _, err := s.Write(dir, sandbox.WriteArgs{Path: "link", Content: "y", End: -1}); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(p)
	if err != nil || fi.Mode() != 0o751 || content(t, p) != "y\n" {
		t.Errorf("after a write through a link: mode %v, content %q, %v", fi.Mode(), content(t, p), err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "link")); to != "run.sh" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	other := filepath.Join(dir, "other")
	if err := os.Link(p, other); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(dir, sandbox.WriteArgs{Path: p, Content: "z", End: -1}); err != nil || content(t, other) != "z\n" {
		t.Errorf("the other name of a written file has %q, %v", content(t, other), err)
	}
	os.Symlink("sub/none", filepath.Join(dir, "dangling"))
	os.Mkdir(filepath.Join(dir, "sub"), 0o755)
	if _, err := s.Write(dir, sandbox.WriteArgs{Path: "dangling", Content: "w", End: -1}); err != nil || content(t, filepath.Join(dir, "sub/none")) != "w\n" {
		t.Errorf("write through a dangling link: %v", err)
	}
}

func TestOwner(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: 4242, GID: 4343})
	if err != nil {
		t.Fatal(err)
	}
	owner := func(name string) [2]uint32 {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		st := fi.Sys().(*syscall.Stat_t)
		return [2]uint32{st.Uid, st.Gid}
	}
	text, old, repl := "a\n", "a", "b"
	s.Write(dir, sandbox.WriteArgs{Path: "gone/../up", Content: "x", End: -1})
	if got := owner("."); got != [2]uint32{0, 0} {
		t.Errorf("the working directory now belongs to %v", got)
	}
	s.Write(dir, sandbox.WriteArgs{Path: "d/e/new", Content: "x", End: -1})
	s.Edit(sandbox.EditArgs{Command: "create", Path: dir + "/created", FileText: &text})
	for _, name := range []string{"d", "d/e", "d/e/new", "created"} {
		if got := owner(name); got != [2]uint32{4242, 4343} {
			t.Errorf("%s belongs to %v", name, got)
		}
	}
	p := plant(t, dir, "theirs", "a\n")
	os.Chown(p, 77, 78)
	os.Chmod(p, 0o755|os.ModeSetuid)
	s.Edit(sandbox.EditArgs{Command: "str_replace", Path: p, OldStr: &old, NewStr: &repl})
	fi, _ := os.Stat(p)
	if owner("theirs") != [2]uint32{77, 78} || fi.Mode() != 0o755|os.ModeSetuid || content(t, p) != "b\n" {
		t.Errorf("an edited file belongs to %v, mode %v, content %q", owner("theirs"), fi.Mode(), content(t, p))
	}
}
