package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func put(s *Store, path string, r io.Reader, mode os.FileMode) error {
	_, err := s.Put(path, r, PutOptions{Mode: mode})
	return err
}

func get(s *Store, path string) (string, error) {
	f, _, err := s.Get(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

func TestGetPutList(t *testing.T) {
	s, dir := open(t)
	if _, err := s.Put("a/b/c", strings.NewReader("one"), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := put(s, dir+"/a/b/c", strings.NewReader("two"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put("a/./b//c", strings.NewReader("three"), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "a/b/c"))
	if err != nil || fi.Mode() != 0o750 {
		t.Errorf("mode %v, %v; want what the second put gave", fi.Mode(), err)
	}
	if got, err := get(s, "a/b/c"); got != "three" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []string{"Zdir/x", "adir/x", ".hid/x", "sp ace/x", "B.txt", "a.txt", ".dot", "C.md", ".gitignore"} {
		plant(t, dir, "l/"+name, "")
	}
	os.Symlink("adir", filepath.Join(dir, "l/linkdir"))
	os.Symlink("none", filepath.Join(dir, "l/dangling"))
	want := []string{".hid/", "adir/", "linkdir/", "sp ace/", "Zdir/", ".dot", ".gitignore", "a.txt", "B.txt", "C.md"}
	l := "l"
	if got := s.ListNames(&l); !slices.Equal(got, want) {
		t.Errorf("ListNames: %q\nwant %q", got, want)
	}
	if got, err := s.List("l"); err != nil || !slices.Equal(got, append(want, "dangling")) {
		t.Errorf("List: %q, %v", got, err)
	}
	for _, p := range []string{"none", "l/C.md", "a\x00b"} {
		if got := s.ListNames(&p); got == nil || len(got) > 0 {
			t.Errorf("ListNames(%q) = %#v", p, got)
		}
	}
	if got := s.ListNames(nil); !slices.Equal(got, []string{"a/", "l/"}) {
		t.Errorf("ListNames of the working directory: %q", got)
	}
	empty, up := "", "l/.."
	if got := s.ListNames(&empty); len(got) != 2 || !slices.Equal(got, s.ListNames(&up)) {
		t.Errorf("ListNames of \"\" and l/..: %q, %q", got, s.ListNames(&up))
	}
}

// native are the operations, each as a function of a path alone.
func native(t testing.TB, s *Store) map[string]func(string) error {
	return map[string]func(string) error{
		"Get":     func(p string) error { _, err := get(s, p); return err },
		"Put":     func(p string) error { return put(s, p, strings.NewReader("evil"), 0) },
		"List":    func(p string) error { _, err := s.List(p); return err },
		"GetTree": func(p string) error { return s.GetTree(p, io.Discard) },
		"PutTree": func(p string) error { return s.PutTree(p, bytes.NewReader(tarOf(t, file("x", "evil")))) },
		"WriteAt": func(p string) error {
			_, err := s.WriteAt(p, strings.NewReader("evil"), Append, PutOptions{})
			return err
		},
		"Stat":    func(p string) error { _, err := s.Stat(p, true); return err },
		"MakeDir": func(p string) error { return s.MakeDir(p, 0, false) },
		"Chmod":   func(p string) error { return s.Chmod(p, 0o777, true) },
		"ListEntries": func(p string) error {
			entries, err := s.ListEntries(p)
			if err == nil {
				for range entries {
					break
				}
			}
			return err
		},
		"Glob": func(p string) error {
			_, _, err := s.Glob(t.Context(), GlobOptions{Path: p, Pattern: "*", Limit: 10})
			return err
		},
		"Grep": func(p string) error {
			_, err := grepAll(t.Context(), s, GrepOptions{Path: p, Pattern: "secret"}, func(l GrepLine) error {
				t.Errorf("Grep found %+v", l)
				return nil
			})
			return err
		},
		"Watch": func(p string) error {
			w, err := s.Watch(p, true)
			if err == nil {
				w.Close()
			}
			return err
		},
	}
}

func TestNothingLeadsOut(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "w")
	plant(t, top, "out/secret", "secret")
	plant(t, dir, "in", "")
	os.Symlink("../out", filepath.Join(dir, "up"))
	os.Symlink(filepath.Join(top, "out"), filepath.Join(dir, "abs"))
	os.Symlink("up/secret", filepath.Join(dir, "chain"))
	os.Symlink("..", filepath.Join(dir, "parent"))
	os.Symlink("../out/new", filepath.Join(dir, "dangling"))
	s, err := New(Config{Dir: dir, UID: -1})
	if err != nil {
		t.Fatal(err)
	}
	for name, op := range native(t, s) {
		for _, c := range []struct {
			path string
			want sandbox.Code
		}{
			{"../../etc/shadow", sandbox.Denied},
			{"..", sandbox.Denied},
			{"in/../../out/secret", sandbox.Denied},
			{"up/secret", sandbox.Denied},
			{"up", sandbox.Denied},
			{"abs/secret", sandbox.Denied},
			{"chain", sandbox.Denied},
			{"parent/out/secret", sandbox.Denied},
			{"dangling", sandbox.Denied},
			{"/etc/shadow", sandbox.Denied},
			{dir + "/../out/secret", sandbox.Denied},
			{dir + "x", sandbox.Denied},
			{"/", sandbox.Denied},
			{"a\x00b", sandbox.Invalid},
			{"\xff\xfe", sandbox.Invalid},
			{strings.Repeat("n", 256), sandbox.Invalid},
			{strings.Repeat("d/", 2100), sandbox.Invalid},
		} {
			if err := op(c.path); sandbox.CodeOf(err) != c.want {
				t.Errorf("%s(%.60q): %v, want %s", name, c.path, err, c.want)
			}
		}
	}
	// These take the last name as it is, a link itself.
	for _, p := range []string{"../out/secret", "up/secret", "abs/secret", "parent/out/secret", "/etc/passwd", dir + "/../out/secret", "../w"} {
		wantCode(t, s.Remove(p, true), sandbox.Denied)
		wantCode(t, s.Move(p, "in2", true), sandbox.Denied)
		wantCode(t, s.Move("in", p, true), sandbox.Denied)
		_, err := s.Stat(p, false)
		wantCode(t, err, sandbox.Denied)
	}
	for _, p := range []string{"", ".", dir, "d/..", "in/.."} {
		wantCode(t, s.Remove(p, true), sandbox.Invalid)
		wantCode(t, s.Move(p, "in2", true), sandbox.Invalid)
		wantCode(t, s.Move("in", p, true), sandbox.Invalid)
	}
	if e, err := s.Stat("up", false); err != nil || e.Type != "link" || e.Target != "../out" {
		t.Errorf("%+v, %v", e, err)
	}
	nothingElse(t, top, "out/secret", "w/in", "w/up", "w/abs", "w/chain", "w/parent", "w/dangling")
	if err := put(s, "../../etc/shadow", nil, 0); !strings.Contains(err.Error(), `"../../etc/shadow": leads outside `+dir) {
		t.Errorf("the message is %q", err)
	}
}

func TestLinksInsideAndRoots(t *testing.T) {
	top := t.TempDir()
	dir, other := filepath.Join(top, "w"), filepath.Join(top, "o")
	plant(t, dir, "d/in", "inside")
	plant(t, other, "x", "other")
	os.Symlink(dir+"/d", filepath.Join(dir, "abs"))
	os.Symlink("../w/d", filepath.Join(dir, "out and in"))
	os.Symlink("d/new", filepath.Join(dir, "dangling"))
	s, err := New(Config{Dir: dir, Roots: []string{other, filepath.Join(top, "later")}, UID: -1})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"abs/in": "inside", "abs/../d/in": "inside", other + "/x": "other"} {
		if got, err := get(s, path); got != want {
			t.Errorf("Get(%q) = %q, %v", path, got, err)
		}
	}
	_, err = get(s, "out and in/in") // ".." at the top leads out, whatever comes after
	wantCode(t, err, sandbox.Denied)
	if _, err := s.Put("dangling", strings.NewReader("y"), PutOptions{}); err != nil || content(t, dir+"/d/new") != "y" {
		t.Errorf("put through a link: %v", err)
	}
	_, err = get(s, top+"/later/x")
	wantCode(t, err, sandbox.NotFound)
	plant(t, top, "later/x", "late")
	if got, err := get(s, top+"/later/x"); got != "late" {
		t.Errorf("a root made later: %q, %v", got, err)
	}
	os.Rename(dir, dir+".was")
	os.Symlink(other, dir)
	_, err = get(s, "x")
	wantCode(t, err, sandbox.Denied) // the working directory itself became a link
	os.Remove(dir)
	os.Rename(dir+".was", dir)
	if got, err := get(s, "d/in"); got != "inside" {
		t.Errorf("the working directory came back: %q, %v", got, err)
	}
}

func TestOnlyRegularFiles(t *testing.T) {
	s, dir := open(t)
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, name := range []string{"d", "fifo", "sock"} {
		_, err := get(s, name)
		wantCode(t, err, sandbox.Invalid)
		wantCode(t, put(s, name, strings.NewReader("x"), 0), sandbox.Invalid)
	}
	for _, name := range []string{"fifo", "sock"} {
		wantCode(t, s.GetTree(name, io.Discard), sandbox.Invalid)
		wantCode(t, s.PutTree(name, nil), sandbox.Invalid)
	}
	_, err = s.List("fifo")
	wantCode(t, err, sandbox.NotFound) // no directory of that name
	_, err = get(s, "none")
	wantCode(t, err, sandbox.NotFound)
	wantCode(t, put(s, "", strings.NewReader("x"), 0), sandbox.Invalid)

	dev, err := New(Config{Dir: "/dev", UID: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zero", "null", "tty"} {
		_, err := get(dev, name)
		wantCode(t, err, sandbox.Invalid)
	}
}

func TestInterruptedPutChangesNothing(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "old", "old")
	cut := errors.New("connection reset")
	body := func() io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), errReader{cut})
	}
	for _, name := range []string{"old", "new", "made/for/it"} {
		err := put(s, name, body(), 0)
		wantCode(t, err, sandbox.Canceled)
		if !errors.Is(err, cut) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	if err := s.PutTree("tree/t", body()); err == nil {
		t.Error("a tree that is none was taken")
	}
	nothingElse(t, dir, "old")
	if content(t, dir+"/old") != "old" {
		t.Error("the old file changed")
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 {
		t.Errorf("directories made for an interrupted put are left: %v", left)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestNamedDraft is for file systems that have no nameless files.
func TestNamedDraft(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	begin := func() *draft {
		name := draftName()
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return &draft{File: f, dir: root, name: name}
	}
	d := begin()
	d.WriteString("x")
	if err := d.commit("f"); err != nil || d.Close() != nil || content(t, dir+"/f") != "x" {
		t.Errorf("commit: %v", err)
	}
	begin().Close()
	nothingElse(t, dir, "f")
}

func TestUnreadable(t *testing.T) {
	need.NotRoot(t)
	s, dir := open(t)
	os.Chmod(plant(t, dir, "closed", "x"), 0)
	_, err := get(s, "closed")
	wantCode(t, err, sandbox.Denied)
	wantCode(t, s.GetTree("", io.Discard), sandbox.Denied)
	if err := s.Download(dir, io.Discard); err != nil {
		t.Errorf("a download is not to fail for one file: %v", err)
	}
}

// TestRaceWithLinks swaps a directory for a link that leads out while everything is asked of it.
func TestRaceWithLinks(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "w")
	plant(t, top, "out/f", "secret")
	plant(t, dir, "real/f", "public")
	s, err := New(Config{Dir: dir, UID: -1})
	if err != nil {
		t.Fatal(err)
	}
	os.Rename(filepath.Join(dir, "real"), filepath.Join(dir, "d"))
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		d, real, link := filepath.Join(dir, "d"), filepath.Join(dir, "real"), filepath.Join(dir, "link")
		os.Symlink("../out", link)
		for !stop.Load() {
			os.Rename(d, real)
			os.Rename(link, d)
			os.Stat(d + "/f") // the link stays as long as the directory does
			os.Rename(d, link)
			os.Rename(real, d)
		}
	})
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	denied := 0
	for range rounds {
		got, err := get(s, "d/f")
		if err == nil && got == "secret" {
			t.Error("read outside")
		}
		if sandbox.CodeOf(err) == sandbox.Denied {
			denied++
		}
		put(s, "d/f", strings.NewReader("public"), 0)
		put(s, "d/g", strings.NewReader("evil"), 0)
		s.WriteAt("d/f", strings.NewReader("evil"), 2, PutOptions{})
		s.MakeDir("d/evil", 0, false)
		s.Chmod("d", 0o666, true)
		s.Remove("d/f", false)
		s.Remove("d/evil", true)
		s.Move("d/g", "d/f", true)
		grepAll(t.Context(), s, GrepOptions{Path: "d", Pattern: "secret"}, func(l GrepLine) error {
			t.Errorf("found outside: %+v", l)
			return nil
		})
		if w, err := s.Watch("d", true); err == nil {
			w.Close()
		}
		s.PutTree("d", bytes.NewReader(tarOf(t, file("f", "public"), file("h", "evil"))))
		var b bytes.Buffer
		s.GetTree("d", &b)
		if bytes.Contains(b.Bytes(), []byte("secret")) {
			t.Error("archived from outside")
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d of %d reads met the link", denied, rounds)
	if content(t, top+"/out/f") != "secret" {
		t.Error("wrote outside")
	}
	if fi, err := os.Stat(top + "/out/f"); err != nil || fi.Mode() != 0o644 {
		t.Errorf("changed outside: %v, %v", fi.Mode(), err)
	}
	nothingElse(t, filepath.Join(top, "out"), "f")
}

// pattern reads as left bytes that differ from place to place.
type pattern struct{ at, left int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.left)]
	for i := range b {
		b[i] = byte((p.at + int64(i)) * 31 >> 3)
	}
	p.at, p.left = p.at+int64(len(b)), p.left-int64(len(b))
	return len(b), nil
}

func TestConstantMemory(t *testing.T) {
	const size = 64 << 20
	s, dir := open(t)
	sum := func(r io.Reader) [32]byte {
		h := sha256.New()
		io.Copy(h, r)
		return [32]byte(h.Sum(nil))
	}
	want := sum(&pattern{left: size})
	allocated := func(what string, f func() error) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
			t.Errorf("%s of %d MiB allocated %d KiB", what, size>>20, n>>10)
		}
	}
	allocated("Put", func() error { return put(s, "big", &pattern{left: size}, 0) })
	allocated("Get", func() error {
		f, info, err := s.Get("big")
		if err != nil {
			return err
		}
		defer f.Close()
		if got := sum(f); info.Size() != size || got != want {
			return errors.New("other content")
		}
		return nil
	})
	allocated("GetTree to PutTree", func() error {
		r, w := io.Pipe()
		go func() { w.CloseWithError(s.GetTree(dir, w)) }()
		other, err := New(Config{Dir: t.TempDir(), UID: -1})
		if err != nil {
			return err
		}
		return other.PutTree("copy", r)
	})
	allocated("Download", func() error { return s.Download(dir, io.Discard) })
	allocated("Upload", func() error { return s.Upload(dir+"/up", "big", false, &pattern{left: size}) })
}
