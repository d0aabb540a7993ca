package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ cwd, p, want string }{
		{"/w", "a.txt", "/w/a.txt"},
		{"/w", "./a//b/", "/w/a/b"},
		{"/w", "../a", "/w/../a"},
		{"/w/", "", "/w"},
		{"/w", "/x//y/./z/", "/x/y/z"},
		{"/w", "/", "/"},
		{"/w", "~/a", "/w/~/a"},
		{"/", "a", "/a"},
	} {
		if got := resolve(c.cwd, c.p); got != c.want {
			t.Errorf("resolve(%q, %q) = %q, want %q", c.cwd, c.p, got, c.want)
		}
	}
}

// FuzzPath makes a small tree with links in all directions and asks for any path: whatever is read lies inside.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"in.txt", "../out.txt", "a/../../out.txt", "up/out.txt", "abs", "back/in.txt", "loop", "d/up2/out.txt",
		"/etc/passwd", "d/./in2//", "\x00", "\xff", "", ".", "back/d/up2", strings.Repeat("a/", 3000), "d/rel", "d/rel/../../../out.txt"} {
		f.Add(p)
	}
	top := f.TempDir()
	dir := filepath.Join(top, "w")
	plant(f, top, "out.txt", "secret")
	plant(f, dir, "in.txt", "public")
	plant(f, dir, "d/in2", "public")
	for name, to := range map[string]string{"up": "..", "abs": filepath.Join(top, "out.txt"), "back": dir, "loop": "loop", "d/up2": "../..", "d/rel": "../d"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	s, err := New(Config{Dir: dir, UID: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if file, _, err := s.Get(p); err == nil {
			b := make([]byte, 10)
			n, _ := file.Read(b)
			file.Close()
			if string(b[:n]) != "public" {
				t.Errorf("Get(%q) gives %q", p, b[:n])
			}
		}
		if found, err := s.List(p); err == nil {
			for _, name := range found {
				if name == "out.txt" {
					t.Errorf("List(%q) lists the parent: %q", p, found)
				}
			}
		}
	})
}
