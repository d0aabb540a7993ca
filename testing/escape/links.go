package escape

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testLinks has files that lead out of the workspace, and asks for them from outside as a controller would.
func testLinks(t *testing.T, c cell) {
	c.t = t
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run("ln -s " + dir + " out; ln -s " + dir + "/secret secret; ln -s /proc/1/root/etc up; ln -s ../../../../../.." + dir + "/secret far")
	for _, name := range []string{"secret", "out/secret", "far", "up/hostname", "../../../../../../.." + dir + "/secret"} {
		var got bytes.Buffer
		if err := c.Get(t.Context(), name, &got); err == nil && strings.Contains(got.String(), "of the host") {
			t.Errorf("Get %s: the host's file", name)
		}
	}
	var tree bytes.Buffer
	_ = c.GetTree(t.Context(), ".", &tree)
	if strings.Contains(tree.String(), "of the host") {
		t.Error("GetTree has the host's file")
	}
	_ = c.Put(t.Context(), "out/new", strings.NewReader("x"))
	_ = c.Put(t.Context(), "secret", strings.NewReader("overwritten"))
	_ = c.PutTree(t.Context(), ".", archive(t, dir))
	for _, name := range []string{"new", "slipped", "through"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was made on the host", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "secret")); err != nil || string(b) != "of the host" {
		t.Errorf("the host's file now has %q, %v", b, err)
	}
	c.run("rm -rf out secret up far deep")
}

// archive has a file by a way up, one through a link and a hard link.
func archive(t *testing.T, dir string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content string) {
		h.Mode, h.Size = 0o644, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "deep/link", Typeflag: tar.TypeSymlink, Linkname: dir}, "")
	add(tar.Header{Name: "deep/link/through", Typeflag: tar.TypeReg}, "x")
	add(tar.Header{Name: strings.Repeat("../", 20) + strings.TrimPrefix(dir, "/") + "/slipped", Typeflag: tar.TypeReg}, "x")
	add(tar.Header{Name: "deep/hard", Typeflag: tar.TypeLink, Linkname: filepath.Join(dir, "secret")}, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
