package files

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// zipEntry is one of an archive for a test; mode 0 is what archives from other systems have.
type zipEntry struct {
	name string
	mode fs.FileMode
	body string
}

func zipOf(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.name, "/") {
			io.WriteString(f, e.body)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUpload(t *testing.T) {
	s, dir := open(t)
	dest := filepath.Join(dir, "new/dest")
	if err := s.Upload(dest, "../../up.txt", false, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dest, "up.txt"), 0o755)
	if err := s.Upload(dest, "up.txt", false, strings.NewReader("y")); err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(filepath.Join(dest, "up.txt")); content(t, dest+"/up.txt") != "y" || fi.Mode() != 0o755 {
		t.Errorf("replaced: %q, mode %v", content(t, dest+"/up.txt"), fi.Mode())
	}
	archive := zipOf(t, zipEntry{"src/", fs.ModeDir | 0o750, ""}, zipEntry{"src/run.sh", 0o755, "#!/bin/sh"}, zipEntry{"src/secret", 0o400, "s"},
		zipEntry{"src/dos.txt", 0, "d"}, zipEntry{"src/l", fs.ModeSymlink | 0o777, "run.sh"}, zipEntry{"deep/er/f", 0o644, "f"})
	for _, recursive := range []bool{true, false} { // a zip is unpacked either way
		if err := s.Upload(dest, "a.zip", recursive, bytes.NewReader(archive)); err != nil {
			t.Fatal(err)
		}
	}
	nothingElse(t, dir, "new/dest/up.txt", "new/dest/src/run.sh", "new/dest/src/secret", "new/dest/src/dos.txt", "new/dest/src/l", "new/dest/deep/er/f")
	for name, want := range map[string]fs.FileMode{"run.sh": 0o755, "secret": 0o600, "dos.txt": 0o644, ".": fs.ModeDir | 0o750} {
		if fi, err := os.Stat(filepath.Join(dest, "src", name)); err != nil || fi.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, fi.Mode(), want)
		}
	}
	if content(t, dest+"/src/l") != "#!/bin/sh" {
		t.Error("the link leads elsewhere")
	}
}

func TestUploadRefuses(t *testing.T) {
	s, dir := open(t)
	dest := dir + "/dest"
	plant(t, dir, "dest/there", "old")
	plant(t, dir, "out/secret", "secret")
	os.Symlink("../out", dest+"/up")
	os.Symlink("../out/secret", dest+"/link")
	syscall.Mkfifo(dest+"/fifo", 0o644)
	good := zipOf(t, zipEntry{"f", 0o644, "x"})
	encrypted := bytes.Clone(good)
	for _, sig := range []string{"PK\x03\x04", "PK\x01\x02"} {
		at := bytes.Index(encrypted, []byte(sig)) + 6 + 2*(int(sig[2])&1)
		encrypted[at] |= 1
	}
	bad := func(e ...zipEntry) []byte { return zipOf(t, append([]zipEntry{{"first", 0o644, "1"}}, e...)...) }
	for _, c := range []struct {
		dest, name string
		recursive  bool
		body       []byte
		code       sandbox.Code
		text       string
	}{
		{"dest", "f", false, nil, sandbox.Invalid, "400: Destination must be an absolute path"},
		{dest, "f.tar", true, nil, sandbox.Invalid, "400: Recursive uploads must be zip files"},
		{dest, "", false, nil, sandbox.Invalid, "no name for a file"},
		{dest, "a/..", false, nil, sandbox.Invalid, "no name for a file"},
		{dest, "a\x00", false, nil, sandbox.Invalid, "no name for a file"},
		{dest, strings.Repeat("n", 300), false, nil, sandbox.Invalid, "no name for a file"},
		{dest + "\x00", "f", false, nil, sandbox.Invalid, "NUL"},
		{dest + "/there", "f", false, nil, sandbox.Conflict, "[Errno 17] File exists: '" + dest + "/there'"},
		{dest + "/there/x", "f", false, nil, sandbox.NotFound, "[Errno 20] Not a directory: '" + dest + "/there/x'"},
		{dest, "a.zip", true, []byte("not a zip"), sandbox.Invalid, dest + "/a.zip is not a zip file"},
		{dest, "a.zip", true, good[:len(good)-30], sandbox.Invalid, dest + "/a.zip is not a zip file"},
		{dest, "a.zip", true, encrypted, sandbox.Invalid, "is encrypted"},
		{dest, "a.zip", true, bad(zipEntry{"../evil", 0o644, "x"}), sandbox.Invalid, `"../evil" leads outside`},
		{dest, "a.zip", true, bad(zipEntry{"a/../../evil", 0o644, "x"}), sandbox.Invalid, "leads outside"},
		{dest, "a.zip", true, bad(zipEntry{"/evil", 0o644, "x"}), sandbox.Invalid, "absolute name"},
		{dest, "a.zip", true, bad(zipEntry{"up/evil", 0o644, "x"}), sandbox.Invalid, "leads outside through a link"},
		{dest, "a.zip", true, bad(zipEntry{"l", fs.ModeSymlink, "../out"}, zipEntry{"l/evil", 0o644, "x"}), sandbox.Invalid, "leads outside"},
		{dest, "a.zip", true, bad(zipEntry{"l", fs.ModeSymlink, "/etc"}), sandbox.Invalid, "is a link to"},
		{dest, "a.zip", true, bad(zipEntry{"l", fs.ModeSymlink, strings.Repeat("a", 5000)}), sandbox.Invalid, "impossible target"},
		{dest, "a.zip", true, bad(zipEntry{"null", fs.ModeDevice | fs.ModeCharDevice | 0o666, ""}), sandbox.Invalid, "neither file, directory nor link"},
		{dest, "a.zip", true, bad(zipEntry{"fifo2", fs.ModeNamedPipe | 0o666, ""}), sandbox.Invalid, "neither file, directory nor link"},
		{dest, "link", false, []byte("x"), sandbox.Denied, "leads outside"},
		{dest, "fifo", false, []byte("x"), sandbox.Invalid, "not a regular file"},
		{dest, "up", false, []byte("x"), sandbox.Denied, "leads outside"},
	} {
		err := s.Upload(c.dest, c.name, c.recursive, bytes.NewReader(c.body))
		if sandbox.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("upload of %.40q to %q: %v; want %s, %q", c.name, c.dest, err, c.code, c.text)
		}
	}
	cut := errors.New("reset")
	for _, name := range []string{"cut", "cut.zip"} {
		err := s.Upload(dest, name, false, io.MultiReader(bytes.NewReader(good[:20]), errReader{cut}))
		if wantCode(t, err, sandbox.Canceled); !errors.Is(err, cut) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	os.Remove(dest + "/first") // from archives that are bad for reasons of this directory, not of their own
	nothingElse(t, dir, "dest/there", "dest/up", "dest/link", "dest/fifo", "out/secret")
}

func TestUploadBombs(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: -1, MaxUnpacked: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var big []zipEntry
	for i := range 11 {
		big = append(big, zipEntry{fmt.Sprint(i), 0o644, strings.Repeat("x", 100_000)})
	}
	honest := zipOf(t, big...)
	liar := bytes.Clone(zipOf(t, zipEntry{"f", 0o644, strings.Repeat("x", 1<<21)})) // claims 100 bytes
	central := bytes.LastIndex(liar, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(liar[central+24:], 100)
	huge := bytes.Clone(zipOf(t, zipEntry{"f", 0o644, "x"})) // claims 512 KiB, of 120 bytes
	central = bytes.LastIndex(huge, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(huge[central+24:], 1<<19)
	for name, b := range map[string][]byte{"honest": honest, "liar": liar, "huge": huge, "overlapping": overlapping(t)} {
		err := s.Upload(dir, "a.zip", true, bytes.NewReader(b))
		if sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		nothingElse(t, dir)
	}
	roomy, err := New(Config{Dir: dir, UID: -1, MaxUnpacked: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	z := &zip.Reader{File: []*zip.File{{FileHeader: zip.FileHeader{Name: "f", UncompressedSize64: 1 << 60}}}}
	wantCode(t, roomy.checkZip(z, 1<<60, root), sandbox.Exhausted)

	l := &limitedReaderAt{r: bytes.NewReader(honest), left: 100}
	if _, err := zip.NewReader(l, int64(len(honest))); !errors.Is(err, errDirectory) {
		t.Errorf("a table of contents above its bound: %v", err)
	}
}

// overlapping is an archive in which two entries are the same bytes.
func overlapping(t testing.TB) []byte {
	b := zipOf(t, zipEntry{"f", 0o644, string(make([]byte, 500_000))})
	at := bytes.Index(b, []byte("PK\x01\x02"))
	end := bytes.LastIndex(b, []byte("PK\x05\x06"))
	one, tail := b[at:end], bytes.Clone(b[end:])
	out := bytes.Clone(b[:at])
	const n = 2
	for range n {
		out = append(out, one...)
	}
	binary.LittleEndian.PutUint16(tail[8:], n)
	binary.LittleEndian.PutUint16(tail[10:], n)
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*len(one)))
	return append(out, tail...)
}

func TestDownload(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "src/a/b", "text")
	os.Chmod(plant(t, dir, "src/run.sh", "#!/bin/sh"), 0o755)
	os.Mkdir(filepath.Join(dir, "src/empty"), 0o755)
	os.Symlink("a/b", filepath.Join(dir, "src/filelink"))
	os.Symlink("a", filepath.Join(dir, "src/dirlink"))
	os.Symlink("none", filepath.Join(dir, "src/dangling"))
	syscall.Mkfifo(filepath.Join(dir, "src/fifo"), 0o644)
	os.Symlink("src", filepath.Join(dir, "way"))
	get := func(path string) map[string]*zip.File {
		t.Helper()
		var b bytes.Buffer
		if err := s.Download(path, &b); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]*zip.File{}
		for _, f := range z.File {
			found[f.Name] = f
		}
		return found
	}
	for _, path := range []string{dir + "/src", dir + "/src/", dir + "/way"} {
		found := get(path)
		if len(found) != 3 || found["a/b"] == nil || found["filelink"] == nil || found["run.sh"].Mode() != 0o755 || found["run.sh"].Method != zip.Store {
			t.Errorf("%s: %v", path, found)
			continue
		}
		r, err := found["filelink"].Open()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "text" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	for _, path := range []string{dir + "/src/run.sh", dir + "/src/empty"} {
		var b bytes.Buffer
		if err := s.Download(path, &b); err != nil || b.Len() != 22 {
			t.Errorf("%s: %d bytes, %v", path, b.Len(), err)
		}
	}
	for path, want := range map[string]string{dir + "/src": "src.zip", dir + "/src/": ".zip", "/": ".zip"} {
		if name, err := s.DownloadName(path); name != want {
			t.Errorf("the archive of %s is called %q, %v", path, name, err)
		}
	}
	for path, want := range map[string]string{"src": "400: Path must be an absolute path", dir + "/none": "404: File not found"} {
		if err := s.Download(path, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	full := errors.New("gone")
	if err := s.Download(dir+"/src", errWriter{full}); !errors.Is(err, full) {
		t.Errorf("the writer's error comes back as %v", err)
	}
}

// TestZipForOthers has Python, whose clients read and write the archives, do so.
func TestZipForOthers(t *testing.T) {
	python := need.Tool(t, "python3")
	s, dir := open(t)
	os.Chmod(plant(t, dir, "src/run.sh", "#!/bin/sh"), 0o755)
	plant(t, dir, "src/naïve/ü", "text")
	f, err := os.Create(filepath.Join(dir, "down.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Download(dir+"/src", f), f.Close()); err != nil {
		t.Fatal(err)
	}
	run(t, python, "-c", `
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
assert sorted(z.namelist()) == ["naïve/ü", "run.sh"], z.namelist()
assert z.getinfo("run.sh").external_attr >> 16 & 0o777 == 0o755
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as out:
    out.write(sys.argv[3] + "/run.sh", "src/run.sh")
    out.writestr("src/s", "from a string")
`, dir+"/down.zip", dir+"/up.zip", dir+"/src")
	up, err := os.Open(dir + "/up.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	if err := s.Upload(dir+"/dst", "up.zip", true, up); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(dir + "/dst/src/run.sh"); err != nil || fi.Mode() != 0o755 || content(t, dir+"/dst/src/s") != "from a string" {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

// FuzzUnzip unpacks anything: nothing appears outside, and no link leads there.
func FuzzUnzip(f *testing.F) {
	f.Add(zipOf(f, zipEntry{"a", 0o644, "x"}, zipEntry{"l", fs.ModeSymlink | 0o777, "a"}, zipEntry{"d/", fs.ModeDir | 0o700, ""}))
	f.Add(zipOf(f, zipEntry{"../a", 0o644, "x"}, zipEntry{"l", fs.ModeSymlink, "../.."}))
	f.Add(overlapping(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		top := t.TempDir()
		plant(t, top, "w/f", "")
		s, err := New(Config{Dir: filepath.Join(top, "w"), UID: -1, MaxUnpacked: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		s.Upload(top+"/w", "a.zip", true, bytes.NewReader(b))
		stayedInside(t, top)
	})
}
