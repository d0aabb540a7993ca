package runtimetest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// writeAndRead checks what write makes of a text, and which lines read gives.
func writeAndRead(s *site) {
	for content, want := range map[string]string{"a": "a\n", "a\n": "a\n\n", "": "\n", "a\nb": "a\nb\n"} {
		s.write(s.in("sub/dir/f.txt"), content)
		s.reads(s.in("sub/dir/f.txt"), want)
	}
	five := "l1\nl2\nl3\nl4\nl5"
	s.write("five", five)
	for at, want := range map[[2]int]string{
		{0, -1}: five + "\n", {2, -1}: "l3\nl4\nl5\n", {1, 3}: "l2\nl3\n", {0, 0}: "l1\n", {3, 1}: "l4\n", {1, 1}: "l2\n",
		{4, 5}: "l4\nl5\n", {5, 6}: "l4\nl5\n", {0, 100}: five + "\n", {9, 10}: "l4\nl5\n", {0, -5}: "l1\n", {9, -1}: "",
	} {
		o := s.file(sandbox.ReadArgs{Path: "five", Start: at[0], End: at[1]})
		s.want(fmt.Sprintf("lines %v", at), s.kind(o, sandbox.KindRead).Content, want)
	}
	s.file(sandbox.WriteArgs{Path: "five", Content: "new", Start: 1, End: 3})
	s.reads("five", "l1\nnew\nl4\nl5\n")
	s.wantContains("reading a directory", s.kind(s.read("sub"), sandbox.KindError).Content, "Path is a directory: "+s.in("sub")+". You can only read files")
	s.want("writing a directory", s.kind(s.file(sandbox.WriteArgs{Path: "sub", Content: "x", End: -1}), sandbox.KindError).Content, "Path is a directory: "+s.in("sub")+". You can only write to files")
	s.copyTo("bytes.dat", s.dir, "\x00\x01\xff\xfe\x00")
	s.want("a binary file", s.kind(s.read(s.in("bytes.dat")), sandbox.KindError).Content, "ERROR_BINARY_FILE")
	s.copyTo("i.png", s.dir, tinyPNG)
	s.wantContains("an image", s.kind(s.read("i.png"), sandbox.KindRead).Content, "data:image/png;base64,iVBORw0KGgo")
	if s.shell {
		s.cmd("cd sub/dir").exits(0)
		s.reads("f.txt", s.read(s.in("sub/dir/f.txt")).Content)
	}
}

// archivesAndLists checks lists, and zip archives up and down.
func archivesAndLists(s *site) {
	for _, f := range []string{"Zdir/x", "adir/x", ".hid/x", "sp ace/x", "B.txt", "a.txt", ".dot", "C.md", ".gitignore"} {
		s.write(s.in("all/"+f), "x")
	}
	names, err := s.rt.List(s.context(), s.in("all"))
	if want := []string{".hid/", "adir/", "sp ace/", "Zdir/", ".dot", ".gitignore", "a.txt", "B.txt", "C.md"}; err != nil || !slices.Equal(names, want) {
		s.Errorf("list: %q, %v\nwant %q", names, err, want)
	}
	s.post("/list_files", `{"path":"`+s.in("nothing")+`"}`).is(200, "[]")
	s.post("/list_files", `{"path":"`+s.in("all/a.txt")+`"}`).is(200, "[]")
	s.post("/list_files", `{"path":"all/Zdir"}`).is(200, `["x"]`)
	s.post("/list_files", `{}`).is(200, `["all/"]`)
	c := s.web()
	zip := zipOf(map[string]string{"top/one.txt": "1", "top/two/three.txt": "3"})
	for _, recursive := range []bool{true, false} { // a single zip is unpacked too
		dir := s.in(fmt.Sprintf("unpacked-%v", recursive))
		if err := c.upload(s.context(), "t.zip", dir, recursive, zip); err != nil {
			s.Fatal(err)
		}
		got, err := c.download(s.context(), dir)
		if err != nil || len(got) != 2 || got["top/one.txt"] != "1" || got["top/two/three.txt"] != "3" {
			s.Errorf("after an upload, recursive %v: %q, %v", recursive, got, err)
		}
	}
	if err := c.upload(s.context(), "t.txt", s.in("x"), true, zip); err == nil || !strings.Contains(err.Error(), "Recursive uploads must be zip files") {
		s.Errorf("a recursive upload of no zip: %v", err)
	}
	if err := c.upload(s.context(), "t.txt", "relative", false, zip); err == nil || !strings.Contains(err.Error(), "Destination must be an absolute path") {
		s.Errorf("a relative destination: %v", err)
	}
	a := s.get("/download_files?path=" + path.Join(s.dir, "unpacked-true"))
	if a.header.Get("Content-Type") != "application/zip" || a.header.Get("Content-Disposition") != `attachment; filename="unpacked-true.zip"` {
		s.Errorf("the head of a download: %v", a.header)
	}
	if a := s.get("/download_files?path=" + s.in("all/a.txt")); a.status != 200 || len(a.body) != 22 {
		a.fail("want an empty archive of 22 bytes for a file")
	}
	for target, part := range map[string]string{"/download_files?path=" + s.in("nothing"): "File not found", "/download_files?path=relative": "Path must be an absolute path"} {
		var d struct{ Detail string }
		a := s.get(target)
		if a.json(&d); a.status < 400 || !strings.Contains(d.Detail, part) {
			a.fail("want %q", part)
		}
	}
	s.get("/download_files").has(422, "Invalid request parameters")
}
