package runtimetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// trees is about directories that go in and out as tar.
var trees = []test{
	{"there and back", func(r *rig) {
		r.sh("mkdir -p src/sub/empty && cd src && echo text > sub/file && printf '#!/bin/sh\\necho ran' > script && chmod 755 script && ln -s sub/file link && cd ..")
		var b bytes.Buffer
		if err := r.rt.GetTree(r.context(), "src", &b); err != nil {
			r.Fatal(err)
		}
		if err := r.rt.PutTree(r.context(), "new/copy", bytes.NewReader(b.Bytes())); err != nil {
			r.Fatal(err)
		}
		r.prints("cd new/copy && cat sub/file link && ./script && ls -d sub/empty && cd ../..", "text\ntext\nran\nsub/empty", 0)
		names := map[string]bool{}
		for t := tar.NewReader(&b); ; {
			h, err := t.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.Fatal(err)
			}
			names[strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")] = true
		}
		for _, name := range []string{"sub/file", "script", "link", "sub/empty"} {
			if !names[name] {
				r.Errorf("%s is not in the archive: %v", name, names)
			}
		}
	}},
	{"a tree is laid over what is there", func(r *rig) {
		r.sh("mkdir -p over && echo old > over/old && echo old > over/both")
		if err := r.rt.PutTree(r.context(), "over", tarOf(r, entry{name: "both", text: "new"}, entry{name: "new", text: "new"})); err != nil {
			r.Fatal(err)
		}
		r.prints("cd over && cat both && echo && cat old new && cd ..", "new\nold\nnew", 0)
	}},
	{"archives that would escape", func(r *rig) {
		for name, entries := range map[string][]entry{
			"up":                               {{name: "../runtimetest-escape", text: "x"}},
			"far up":                           {{name: "a/../../../../../../../../tmp/runtimetest-escape", text: "x"}},
			"absolute":                         {{name: "/tmp/runtimetest-escape", text: "x"}},
			"through a link":                   {{name: "l", link: "/tmp"}, {name: "l/runtimetest-escape", text: "x"}},
			"through a link that is relative":  {{name: "l", link: "../../../../../../../../tmp"}, {name: "l/runtimetest-escape", text: "x"}},
			"a link, then a file in its place": {{name: "l", link: "/tmp/runtimetest-escape"}, {name: "l", text: "x"}},
			"a hard link":                      {{name: "l", hard: "/etc/passwd"}},
			"a hard link up":                   {{name: "l", hard: "../../../../../../../../etc/passwd"}},
		} {
			err := r.rt.PutTree(r.context(), "hostile", tarOf(r, entries...))
			if err != nil { // a link may also be left out, or made harmless
				r.wantCode(name, err, sandbox.Invalid, sandbox.Denied)
			}
			r.prints("ls /tmp/runtimetest-escape runtimetest-escape ../runtimetest-escape 2>/dev/null", "", 2)
			r.prints("find hostile -type f -links +1 2>/dev/null | wc -l", "0", 0)
			r.sh("rm -rf hostile")
		}
	}},
	{"links in a tree are not followed outside", func(r *rig) {
		r.sh("mkdir -p leak && ln -s /etc leak/etc && ln -s /etc/passwd leak/passwd")
		var b bytes.Buffer
		if err := r.rt.GetTree(r.context(), "leak", &b); err != nil {
			r.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("root:")) {
			r.Error("the archive holds what is outside")
		}
	}},
	{"an archive that is none", func(r *rig) {
		r.wantCode("text", r.rt.PutTree(r.context(), "none", strings.NewReader(strings.Repeat("no archive ", 500))), sandbox.Invalid)
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "f", Mode: 0o644, Size: 1 << 20, Typeflag: tar.TypeReg}); err != nil {
			r.Fatal(err)
		}
		if err := r.rt.PutTree(r.context(), "none", &b); err == nil {
			r.Error("an archive that ends early was taken")
		}
	}},
}

// An entry of an archive: a file, or a link if link or hard is set.
type entry struct{ name, text, link, hard string }

func tarOf(r *rig, entries ...entry) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		switch {
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.hard
		}
		if err := w.WriteHeader(h); err != nil {
			r.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			r.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		r.Fatal(err)
	}
	return &b
}
