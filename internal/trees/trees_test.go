package trees

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/need"
)

// plant makes a tree with one of each.
func plant(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "sub/empty"), 0o755),
		os.WriteFile(filepath.Join(dir, "sub/file"), []byte("content"), 0o640),
		os.Chtimes(filepath.Join(dir, "sub/file"), old, old),
		os.Link(filepath.Join(dir, "sub/file"), filepath.Join(dir, "again")),
		os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.WriteFile(filepath.Join(dir, "holes"), nil, 0o600),
		os.Truncate(filepath.Join(dir, "holes"), 1<<30),
		os.Chmod(filepath.Join(dir, "sub"), os.ModeSticky|0o711),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// check asserts that a tree is as plant made it, without the pipe.
func check(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "again"))
	if err != nil || string(b) != "content" {
		t.Errorf("again: %q, %v", b, err)
	}
	first, err1 := os.Lstat(filepath.Join(dir, "sub/file"))
	second, err2 := os.Lstat(filepath.Join(dir, "again"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(first, second) || first.Mode() != 0o640 || first.ModTime().Year() != 2001 {
		t.Errorf("the file with two names: %v %v %v", os.SameFile(first, second), first.Mode(), first.ModTime())
	}
	if to, err := os.Readlink(filepath.Join(dir, "link")); err != nil || to != "/etc/passwd" {
		t.Errorf("link: %q, %v", to, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "pipe")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pipe: %v", err)
	}
	if s, err := os.Stat(filepath.Join(dir, "sub")); err != nil || s.Mode().Perm() != 0o711 || s.Mode()&os.ModeSticky == 0 {
		t.Errorf("sub: %v, %v", s, err)
	}
	if s, err := os.Stat(filepath.Join(dir, "holes")); err != nil || s.Size() != 1<<30 {
		t.Errorf("holes: %v, %v", s, err)
	}
	if s, err := os.Stat(filepath.Join(dir, "sub/empty")); err != nil || !s.IsDir() {
		t.Errorf("sub/empty: %v, %v", s, err)
	}
}

func TestCopy(t *testing.T) {
	from, to := plant(t), filepath.Join(t.TempDir(), "copy")
	stats, err := Copying{}.Copy(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	check(t, to)
	if s, _ := os.Stat(filepath.Join(to, "holes")); s.Sys().(*syscall.Stat_t).Blocks > 8 {
		t.Error("the holes were filled")
	}
	if want := (Stats{6, 1<<30 + 7}); stats != want {
		t.Errorf("copied %+v, want %+v", stats, want)
	}
	if m, err := Measure(to); err != nil || m != (Stats{6, 1<<30 + 7}) {
		t.Errorf("measured %+v, %v", m, err)
	}
}

func TestPackAndUnpack(t *testing.T) {
	from := plant(t)
	if err := os.Truncate(filepath.Join(from, "holes"), 1<<20); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	d, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := Bounds{}.Pack(t.Context(), w, d, "part", nil)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	archive := b.Bytes()
	to := t.TempDir()
	u := Unpacking{Parts: []string{"part"}, UID: -1}
	unpacked, err := u.Unpack(t.Context(), tar.NewReader(bytes.NewReader(archive)), to)
	if err != nil || packed != unpacked["part"] || packed.Files != 7 {
		t.Fatalf("packed %+v, unpacked %+v, %v", packed, unpacked, err)
	}
	if err := os.Truncate(filepath.Join(to, "part/holes"), 1<<30); err != nil {
		t.Fatal(err)
	}
	check(t, filepath.Join(to, "part"))
	u.End = "end"
	if _, err := u.Unpack(t.Context(), tar.NewReader(bytes.NewReader(archive)), t.TempDir()); !errors.Is(err, ErrArchive) {
		t.Errorf("without its end: %v", err)
	}
	for _, bounds := range []Bounds{{Files: 3}, {Bytes: 1 << 19}} {
		u.Bounds = bounds
		if _, err := u.Unpack(t.Context(), tar.NewReader(bytes.NewReader(archive)), t.TempDir()); !errors.Is(err, ErrMuch) {
			t.Errorf("%+v: %v", bounds, err)
		}
	}
}

// TestHostileArchives unpacks what is made to do harm. Nothing appears outside, and nothing but what is allowed inside.
func TestHostileArchives(t *testing.T) {
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	link := func(kind byte, name, to string) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Linkname: to}
	}
	for name, entries := range map[string][]tar.Header{
		"up":               {dir("p"), file("p/../../out")},
		"absolute":         {dir("p"), file("/out")},
		"elsewhere":        {dir("q")},
		"at the top":       {file("p")},
		"no directory":     {dir("p"), file("p/a/b")},
		"through a link":   {dir("p"), link(tar.TypeSymlink, "p/l", "../.."), file("p/l/out")},
		"through a link 2": {dir("p"), link(tar.TypeSymlink, "p/l", "/"), dir("p/l/out")},
		"part is a link":   {link(tar.TypeSymlink, "p", ".."), file("p/out")},
		"over a link":      {dir("p"), link(tar.TypeSymlink, "p/l", "../../out"), file("p/l")},
		"link up":          {dir("p"), link(tar.TypeLink, "p/l", "../out")},
		"link out":         {dir("p"), link(tar.TypeLink, "p/l", "/etc/passwd")},
		"link to a link":   {dir("p"), link(tar.TypeSymlink, "p/s", "/etc/passwd"), link(tar.TypeLink, "p/l", "p/s")},
		"link to nothing":  {dir("p"), link(tar.TypeLink, "p/l", "p/none")},
		"device":           {dir("p"), {Typeflag: tar.TypeChar, Name: "p/null", Devmajor: 1, Devminor: 3}},
		"block":            {dir("p"), {Typeflag: tar.TypeBlock, Name: "p/disk"}},
		"pipe":             {dir("p"), {Typeflag: tar.TypeFifo, Name: "p/pipe"}},
		"twice":            {dir("p"), file("p/a"), file("p/a")},
		"file as dir":      {dir("p"), file("p/a"), file("p/a/b")},
		"long":             {dir("p"), file("p/" + strings.Repeat("n", 300))},
		"deep":             {dir("p"), file("p/" + strings.Repeat("n/", maxDepth+1) + "n")},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range entries {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			above := t.TempDir()
			into := filepath.Join(above, "into", "it")
			if err := os.MkdirAll(into, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Unpacking{Parts: []string{"p"}, UID: -1}.Unpack(t.Context(), tar.NewReader(&b), into)
			if !errors.Is(err, ErrArchive) && !errors.Is(err, ErrDeep) {
				t.Errorf("unpacked: %v", err)
			}
			outside, _ := filepath.Glob(filepath.Join(above, "into", "[^i]*"))
			more, _ := filepath.Glob(filepath.Join(above, "out*"))
			if outside = append(outside, more...); len(outside) > 0 {
				t.Errorf("outside there is %q", outside)
			}
		})
	}
	b := []byte(strings.Repeat("no archive ", 200))
	if _, err := (Unpacking{UID: -1}).Unpack(t.Context(), tar.NewReader(bytes.NewReader(b)), t.TempDir()); !errors.Is(err, ErrArchive) {
		t.Errorf("what is no archive: %v", err)
	}
}

// TestCopyLayer copies what in a layer of an overlay says that something is gone; in any other tree it is left out.
func TestCopyLayer(t *testing.T) {
	need.Root(t)
	from := t.TempDir()
	for _, err := range []error{os.Mkdir(filepath.Join(from, "dir"), 0o755), unix.Mknod(filepath.Join(from, "gone"), unix.S_IFCHR, 0),
		unix.Mknod(filepath.Join(from, "null"), unix.S_IFCHR, int(unix.Mkdev(1, 3))), unix.Setxattr(filepath.Join(from, "dir"), hides, []byte("y"), 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, layer := range []bool{false, true} {
		to := filepath.Join(t.TempDir(), "copy")
		if _, err := (Copying{Layer: layer}).Copy(t.Context(), from, to); err != nil {
			t.Fatal(err)
		}
		var s unix.Stat_t
		if err := unix.Lstat(filepath.Join(to, "gone"), &s); (err == nil && s.Mode&unix.S_IFMT == unix.S_IFCHR && s.Rdev == 0) != layer {
			t.Errorf("layer %v: gone is %o, %v", layer, s.Mode, err)
		}
		if n, err := unix.Getxattr(filepath.Join(to, "dir"), hides, make([]byte, 9)); (n == 1) != layer {
			t.Errorf("layer %v: the directory hides: %d, %v", layer, n, err)
		}
		if _, err := os.Lstat(filepath.Join(to, "null")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("layer %v: a device was copied: %v", layer, err)
		}
	}
}
