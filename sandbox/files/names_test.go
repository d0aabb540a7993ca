package files

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func TestMove(t *testing.T) {
	s, dir := open(t)
	other := t.TempDir()
	s2, err := New(Config{Dir: dir, Roots: []string{other}, UID: -1})
	must(t, err)
	plant(t, dir, "f", "f")
	plant(t, dir, "g", "g")
	plant(t, dir, "full/x", "")
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755), os.Symlink("f", filepath.Join(dir, "link")))
	wantCode(t, s.Move("f", "g", false), sandbox.Conflict)
	wantCode(t, s.Move("f", "full", true), sandbox.Invalid)
	wantCode(t, s.Move("empty", "full", true), sandbox.Conflict)
	wantCode(t, s.Move("full", "full/in/to", true), sandbox.Invalid)
	wantCode(t, s.Move("full", "full/in/to", false), sandbox.Invalid)
	wantCode(t, s.Move("none", "x", false), sandbox.NotFound)
	wantCode(t, s.Move("f", "g/x", false), sandbox.NotFound)
	if content(t, dir+"/g") != "g" || content(t, dir+"/f") != "f" {
		t.Error("a refused move did something")
	}
	if _, err := os.Stat(dir + "/full/in"); err == nil {
		t.Error("a refused move leaves a directory")
	}
	must(t, s.Move("f", "g", true), s.Move("g", "a/b/h", false), s.Move("full", "empty", true), s.Move("link", "l2", false))
	if to, err := os.Readlink(dir + "/l2"); err != nil || to != "f" || content(t, dir+"/a/b/h") != "f" {
		t.Error(to, err)
	}
	must(t, s2.Move("a/b/h", other+"/h", false), s2.Move(other+"/h", dir+"/h", false))
	if content(t, dir+"/h") != "f" {
		t.Error("between roots")
	}
	nothingElse(t, dir, "h", "l2", "empty/x")
}

func TestMakeDirAndChmod(t *testing.T) {
	s, dir := open(t)
	mode := func(name string, want os.FileMode) {
		t.Helper()
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode()&^os.ModeDir != want {
			t.Errorf("%s: %v, %v; want %v", name, fi.Mode(), err, want)
		}
	}
	must(t, s.MakeDir("a/b/c", 0o700, true), s.MakeDir("a/b", 0o700, false))
	mode("a/b/c", 0o700)
	mode("a/b", 0o755)
	wantCode(t, s.MakeDir("a/b", 0, true), sandbox.Conflict)
	f := plant(t, dir, "a/f", "")
	wantCode(t, s.MakeDir("a/f", 0, false), sandbox.Conflict)
	wantCode(t, s.MakeDir("a/f/g", 0, false), sandbox.NotFound)
	out := plant(t, t.TempDir(), "out", "")
	must(t, os.Symlink(out, filepath.Join(dir, "a/link")), s.Chmod("a", 0o640, true))
	mode("a", 0o750)
	mode("a/b/c", 0o750)
	mode("a/f", 0o640)
	if fi, _ := os.Stat(out); fi.Mode() != 0o644 {
		t.Errorf("a link is followed: %v", fi.Mode())
	}
	must(t, s.Chmod("a/f", 0o755|os.ModeSetuid, false))
	if e, err := s.Stat(f, true); err != nil || e.Mode != "4755" || e.Type != "file" {
		t.Errorf("%+v, %v", e, err)
	}
	for octal, want := range map[string]sandbox.Code{"644": "", "0644": "", "7777": "", "0": "", "888": sandbox.Invalid, "10000": sandbox.Invalid, "": sandbox.Invalid, "u+x": sandbox.Invalid} {
		_, err := ParseMode(octal)
		wantCode(t, err, want)
	}
}

// TestOwnerOfAll has whatever is new belong to the configured owner, parents too.
func TestOwnerOfAll(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: 12345, GID: 23456})
	must(t, err)
	theirs := plant(t, dir, "theirs", "x")
	must(t, os.Chown(theirs, 777, 888))
	must(t, put(s, "p/put", strings.NewReader("x"), 0), put(s, "theirs", strings.NewReader("y"), 0), s.MakeDir("d/e", 0o700, false))
	_, err = s.WriteAt("w/at", strings.NewReader("x"), 3, PutOptions{})
	must(t, err, put(s, "from", strings.NewReader("x"), 0), s.Move("from", "m/to", false))
	must(t, s.PutTree("t/ree", strings.NewReader(string(tarOf(t, file("in/f", "x"), symlink("l", "in/f"))))))
	must(t, s.Upload(dir+"/up/load", "f", false, strings.NewReader("x")))
	must(t, s.Upload(dir+"/zip", "z.zip", true, strings.NewReader(string(zipOf(t, zipEntry{name: "in/f", body: "x"})))))
	_, err = s.Write(dir, sandbox.WriteArgs{Path: "wr/ite", Content: "x", End: -1})
	must(t, err)
	text := "x"
	_, err = s.Edit(sandbox.EditArgs{Command: "create", Path: dir + "/edit", FileText: &text})
	must(t, err)
	must(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		st, want := fi.Sys().(*syscall.Stat_t), [2]uint32{12345, 23456}
		if p == theirs {
			want = [2]uint32{777, 888}
		}
		if got := [2]uint32{st.Uid, st.Gid}; got != want {
			t.Errorf("%s belongs to %v", p, got)
		}
		return nil
	}))
}

func TestArchivesBoundEntries(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: -1, MaxEntries: 2})
	must(t, err)
	two, three := []entry{file("a", "x"), file("b", "x")}, []entry{file("a", "x"), file("b", "x"), folder("c", 0o755)}
	must(t, s.PutTree("t", bytes.NewReader(tarOf(t, two...))))
	wantCode(t, s.PutTree("u", bytes.NewReader(tarOf(t, three...))), sandbox.Invalid)
	must(t, s.Upload(dir+"/v", "z.zip", true, bytes.NewReader(zipOf(t, zipEntry{name: "a"}, zipEntry{name: "b"}))))
	wantCode(t, s.Upload(dir+"/w", "z.zip", true, bytes.NewReader(zipOf(t, zipEntry{name: "a"}, zipEntry{name: "b"}, zipEntry{name: "c"}))), sandbox.Invalid)
	nothingElse(t, dir, "t/a", "t/b", "v/a", "v/b")
}
