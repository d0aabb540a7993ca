package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// An entry of an archive for a test: its header and content.
type entry struct {
	h    tar.Header
	body string
}

func file(name, body string) entry {
	return entry{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(body))}, body}
}
func folder(name string, mode int64) entry {
	return entry{h: tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}}
}
func symlink(name, to string) entry {
	return entry{h: tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}}
}
func hardlink(name, to string) entry {
	return entry{h: tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}}
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTreeRoundTrip(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "src/a/b", "text")
	os.Chmod(plant(t, dir, "src/run.sh", "#!/bin/sh\n"), 0o755)
	os.Mkdir(filepath.Join(dir, "src/empty"), 0o750)
	closed := filepath.Join(dir, "src/closed")
	plant(t, dir, "src/closed/x", "y")
	os.Chmod(closed, 0o555)
	t.Cleanup(func() { os.Chmod(closed, 0o755); os.Chmod(filepath.Join(dir, "dst/closed"), 0o755) })
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	os.Chtimes(filepath.Join(dir, "src/a/b"), old, old)
	os.Symlink("a/b", filepath.Join(dir, "src/rel"))
	os.Symlink("../run.sh", filepath.Join(dir, "src/a/up"))
	os.Symlink(dir+"/src/a/b", filepath.Join(dir, "src/a/abs"))
	os.Symlink("none", filepath.Join(dir, "src/dangling"))
	os.Symlink("/etc/passwd", filepath.Join(dir, "src/out"))
	os.Symlink("../../x", filepath.Join(dir, "src/a/out"))
	syscall.Mkfifo(filepath.Join(dir, "src/fifo"), 0o644)
	plant(t, dir, "src/"+strings.Repeat("long/", 60)+"name", "deep")

	var b bytes.Buffer
	if err := s.GetTree("src", &b); err != nil {
		t.Fatal(err)
	}
	if err := s.PutTree("dst", bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	nothingElse(t, filepath.Join(dir, "dst"), "a/b", "run.sh", "closed/x", "rel", "a/up", "a/abs", "dangling", strings.Repeat("long/", 60)+"name")
	for name, want := range map[string]fs.FileMode{"run.sh": 0o755, "a/b": 0o644, "empty": fs.ModeDir | 0o750, "closed": fs.ModeDir | 0o755} {
		if fi, err := os.Stat(filepath.Join(dir, "dst", name)); err != nil || fi.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, fi.Mode(), want)
		}
	}
	if fi, _ := os.Stat(filepath.Join(dir, "dst/a/b")); !fi.ModTime().Equal(old) {
		t.Errorf("the time became %v", fi.ModTime())
	}
	if to, _ := os.Readlink(filepath.Join(dir, "dst/a/abs")); to != "../a/b" {
		t.Errorf("the absolute link leads to %q", to)
	}
	b.Reset()
	if err := s.GetTree("dst", &b); err != nil { // again, over what is there
		t.Fatal(err)
	}
	if err := s.PutTree("dst", &b); err != nil {
		t.Error(err)
	}
	wantCode(t, s.GetTree("src/run.sh", io.Discard), sandbox.Invalid)
	wantCode(t, s.GetTree("none", io.Discard), sandbox.NotFound)
	full := errors.New("disk full")
	if err := s.GetTree("src", errWriter{full}); err != full {
		t.Errorf("the writer's error comes back as %v", err)
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

func TestPutTreeRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []entry
	}{
		{"dot dot", []entry{file("../evil", "x")}},
		{"dot dot inside", []entry{file("a/../../evil", "x")}},
		{"absolute", []entry{file("/tmp/evil", "x")}},
		{"long name", []entry{file(strings.Repeat("n", 256), "x")}},
		{"link out", []entry{symlink("l", "../out")}},
		{"absolute link", []entry{symlink("l", "/etc")}},
		{"link up behind a link", []entry{symlink("d/e/l", "../.."), symlink("m", "d/e/l/..")}},
		{"link below a link", []entry{folder("d/e", 0o755), symlink("l", "d/e"), symlink("l/m", "../..")}},
		{"hard link out", []entry{hardlink("l", "../out/secret")}},
		{"absolute hard link", []entry{hardlink("l", "/etc/passwd")}},
		{"hard link to a link", []entry{symlink("l", "none"), hardlink("m", "l")}},
		{"hard link to a directory", []entry{folder("d", 0o755), hardlink("m", "d")}},
		{"device", []entry{{h: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}}},
		{"block device", []entry{{h: tar.Header{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}}}},
		{"fifo", []entry{{h: tar.Header{Name: "fifo", Typeflag: tar.TypeFifo}}}},
		{"file below a file", []entry{file("f", "x"), file("f/g", "x")}},
		{"file over a directory", []entry{folder("d", 0o755), file("d", "x")}},
		{"link over a directory", []entry{folder("d", 0o755), symlink("d", "e")}},
		{"link for the whole", []entry{symlink(".", "e")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			plant(t, top, "out/secret", "secret")
			plant(t, top, "w/in", "")
			s, err := New(Config{Dir: filepath.Join(top, "w"), UID: -1})
			if err != nil {
				t.Fatal(err)
			}
			archive := tarOf(t, append([]entry{file("first", "1")}, c.entries...)...)
			wantCode(t, s.PutTree("new/tree", bytes.NewReader(archive)), sandbox.Invalid)
			nothingElse(t, top, "out/secret", "w/in")
			os.Mkdir(filepath.Join(top, "w/there"), 0o755)
			wantCode(t, s.PutTree("there", bytes.NewReader(archive)), sandbox.Invalid)
			if content(t, filepath.Join(top, "w/there/first")) != "1" {
				t.Error("what came before the bad entry is gone")
			}
			if got, _ := os.ReadDir(top); len(got) != 2 || content(t, filepath.Join(top, "out/secret")) != "secret" {
				t.Errorf("outside there is now %v", got)
			}
		})
	}
}

func TestPutTreeTakes(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "d/f", "old")
	plant(t, dir, "elsewhere/x", "x")
	os.Symlink("sub", filepath.Join(dir, "d/way"))
	os.Mkdir(filepath.Join(dir, "d/sub"), 0o755)
	os.Symlink("../elsewhere/x", filepath.Join(dir, "d/link"))
	global := entry{h: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}}
	err := s.PutTree("d", bytes.NewReader(tarOf(t, global, folder("./", 0o700), file("./f", "new"), file("way/in", "through a link"),
		file("link", "in place of a link"), hardlink("g", "f"), hardlink("g", "f"), hardlink("f", "f"), symlink("sub/s", "../f"), symlink("sub/s", "in"))))
	if err != nil {
		t.Fatal(err)
	}
	nothingElse(t, dir, "d/f", "d/g", "d/way", "d/sub/in", "d/sub/s", "d/link", "elsewhere/x")
	for name, want := range map[string]string{"f": "new", "g": "new", "sub/s": "through a link", "link": "in place of a link", "../elsewhere/x": "x"} {
		if got := content(t, filepath.Join(dir, "d", name)); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	if err := s.PutTree("none", bytes.NewReader(nil)); err != nil {
		t.Errorf("an empty archive: %v", err)
	}
	if found, err := s.List("none"); err != nil || len(found) > 0 {
		t.Errorf("an empty archive makes %v, %v", found, err)
	}
}

func TestPutTreeBroken(t *testing.T) {
	s, dir := open(t)
	whole := tarOf(t, file("a", strings.Repeat("x", 5000)), file("b", "y"))
	sparse := sparseTar(t)
	cut := errors.New("reset")
	for _, c := range []struct {
		name string
		r    io.Reader
		want sandbox.Code
	}{
		{"noise", strings.NewReader(strings.Repeat("noise", 500)), sandbox.Invalid},
		{"cut in a file", bytes.NewReader(whole[:3000]), sandbox.Invalid},
		{"cut in a header", bytes.NewReader(whole[:200]), sandbox.Invalid},
		{"sender gone", io.MultiReader(bytes.NewReader(whole[:3000]), errReader{cut}), sandbox.Canceled},
		{"sparse", bytes.NewReader(sparse), sandbox.Invalid},
	} {
		err := s.PutTree("new", c.r)
		if wantCode(t, err, c.want); err == nil {
			t.Errorf("%s was taken", c.name)
		}
		nothingElse(t, dir)
	}
}

// sparseTar is an archive of 3 KiB whose one file claims 1 TiB.
func sparseTar(t testing.TB) []byte {
	t.Helper()
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=bomb", "GNU.sparse.realsize=1099511627776"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	const holes = "1\n1099511627775\n1\n"
	b := tarOf(t, file("PaxHeaders/bomb", records), file("bomb", holes+strings.Repeat("\x00", 512-len(holes))+"x"))
	b[156] = tar.TypeXHeader
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], []byte{'0' + byte(sum>>15&7), '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	h, err := tar.NewReader(bytes.NewReader(b)).Next()
	if err != nil || h.Size != 1<<40 {
		t.Fatalf("the bomb is none: %+v, %v", h, err)
	}
	return b
}

// FuzzPutTree unpacks anything: nothing appears outside, and no link leads there.
func FuzzPutTree(f *testing.F) {
	f.Add(tarOf(f, file("a", "x"), symlink("l", "a"), hardlink("h", "a"), folder("d", 0o700)))
	f.Add(tarOf(f, file("../a", "x"), symlink("l", "../.."), hardlink("h", "/etc/passwd")))
	f.Add(sparseTar(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		top := t.TempDir()
		plant(t, top, "w/there/f", "")
		s, err := New(Config{Dir: filepath.Join(top, "w"), UID: -1})
		if err != nil {
			t.Fatal(err)
		}
		s.PutTree("new", bytes.NewReader(b))
		s.PutTree("there", bytes.NewReader(b))
		stayedInside(t, top)
	})
}

func stayedInside(t *testing.T, top string) {
	t.Helper()
	got, _ := os.ReadDir(top)
	var found []string
	for _, e := range got {
		found = append(found, e.Name())
	}
	if !slices.Equal(found, []string{"w"}) {
		t.Fatalf("beside the directory there is now %q", found)
	}
	w := filepath.Join(top, "w")
	filepath.WalkDir(w, func(p string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), draftPrefix) {
			t.Fatalf("%s is left over", p)
		}
		if err == nil && e.Type() == fs.ModeSymlink {
			if real, err := filepath.EvalSymlinks(p); err == nil && real != w && !strings.HasPrefix(real, w+"/") {
				t.Fatalf("%s leads to %s", p, real)
			}
		}
		return nil
	})
}
