package files

import (
	"context"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fuzzTree is a small tree with links that lead out of dir, and a file beside it that nobody may find.
func fuzzTree(f *testing.F) (s *Store, dir string) {
	top := f.TempDir()
	dir = filepath.Join(top, "w")
	plant(f, top, "out/secret.txt", "secret")
	for _, name := range []string{"a.txt", "d/b.txt", "d/e/c.txt", ".h/d.txt", "d/.i.txt"} {
		plant(f, dir, name, "public text\nsecond line\n")
	}
	for name, to := range map[string]string{"up": "..", "d/out": "../../out", "abs": top, "loop": "loop", "in": "d/e"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	s, err := New(Config{Dir: dir, UID: -1})
	if err != nil {
		f.Fatal(err)
	}
	return s, dir
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"*", "**", "**/*.txt", "../*", "up/*", "d/out/*", "{a,b}/{c,d}", "[a-", "abs/**", "in/*", "**/**/x", "\\*", "[^a]*", "{{a,b},c}", "d/../..", "{..,a}/*", "[.][.]/*"} {
		f.Add("", p)
	}
	f.Add("d", "*")
	s, _ := fuzzTree(f)
	f.Fuzz(func(t *testing.T, path, pattern string) {
		begun := worked(t)
		found, _, err := s.Glob(t.Context(), GlobOptions{Path: path, Pattern: pattern, Hidden: true, Limit: 100})
		if err == nil && strings.Contains(strings.Join(found, " "), "secret") {
			t.Errorf("%q below %q finds %q", pattern, path, found)
		}
		if d := worked(t) - begun; d > 5*time.Second {
			t.Errorf("%q takes %v", pattern, d)
		}
	})
}

// worked is how long this process has had a processor, which does nothing beside a fuzzed call: how long that waits for one is up
// to the machine.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func FuzzIgnore(f *testing.F) {
	for _, s := range []string{"*.o\n!keep.o\n", "/a\nb/\n#c\n\\#d\n", "a/**/b\n**/c\n", "[\n{a,b}\n\\", "!\n/\n//\n**\n"} {
		f.Add(s, "a/b/c.o")
	}
	f.Fuzz(func(t *testing.T, rules, name string) {
		l := ignoreList{dir: ".", rules: parseIgnore(rules)}
		l.judge(name, true)
		l.judge(name, false)
	})
}

// FuzzGrep has any pattern find no more than the files have, and mean what it meant before it was written anew.
func FuzzGrep(f *testing.F) {
	for _, p := range []string{"public", "^p", "e$", `\Ap`, `\bline\b`, "(?i)PUBLIC", ".", "", "[[:alpha:]]+", "(", `\n`, `a\`, `\pL`, `x*?`, `\\b`, `[\b]`, `(?s).`, `(?-m)^a$`, `\z|\A`} {
		f.Add(p, "", "", false)
	}
	s, _ := fuzzTree(f)
	f.Fuzz(func(t *testing.T, pattern, glob, path string, literal bool) {
		m, err := newMatcher(pattern, literal, false)
		if err != nil {
			return
		}
		asked := pattern
		if literal {
			asked = regexp.QuoteMeta(pattern)
		}
		re, err := regexp.Compile("(?m:" + asked + ")")
		if err != nil {
			return // as "a)(b", which is none by itself
		}
		if line := []byte("public text"); !strings.Contains(asked, `\`) && re.Match(line) != (m.find(line) > 0) {
			t.Errorf("%q is %q, which matches another way", pattern, m.text)
		}
		_ = m.forRipgrep()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		sum, err := grepAll(ctx, s, GrepOptions{Path: path, Pattern: pattern, Literal: literal, Glob: glob, Hidden: true}, func(l GrepLine) error {
			if l.Text != "public text" && l.Text != "second line" {
				t.Errorf("%q in %q finds %+v", pattern, path, l)
			}
			return nil
		})
		if err == nil && sum.Matches > 10 {
			t.Errorf("%+v", sum)
		}
	})
}

// FuzzRipgrepOutput reads what a program prints that is called rg.
func FuzzRipgrepOutput(f *testing.F) {
	for _, s := range []string{"./a.txt\x001:1:x\n", "./a.txt\x001-x\n", "./../out/secret.txt\x001:1:x\n", "./up/out/secret.txt\x001:1:x\n", "\x00\n\x00", "./a.txt\x00:", "./a.txt\x0099999999999999999999:1:x\n"} {
		f.Add([]byte(s))
	}
	s, _ := fuzzTree(f)
	root, _, err := s.at("Grep", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, out []byte) {
		g := &grep{o: GrepOptions{Limit: 100}, yield: func(l GrepLine) error {
			if fi, err := root.Lstat(l.Path); err != nil || !fi.Mode().IsRegular() || l.Line < 0 || l.Column < 0 {
				t.Errorf("%q is taken for %+v", out, l)
			}
			return nil
		}}
		g.collect(strings.NewReader(string(out)), &selection{top: root})
	})
}

func FuzzEvents(f *testing.F) {
	e := make([]byte, 32)
	binary.NativeEndian.PutUint32(e, 1)
	binary.NativeEndian.PutUint32(e[12:], 16)
	copy(e[16:], "name")
	f.Add(e)
	f.Add(e[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range parseEvents(b) {
			if strings.ContainsRune(e.name, 0) {
				t.Errorf("%q", e.name)
			}
		}
	})
}

// FuzzNames does everything to any path that takes a path: nothing outside is seen or changed.
func FuzzNames(f *testing.F) {
	for _, p := range []string{"../out/secret.txt", "up/out", "d/out/secret.txt", "abs/out/secret.txt", "a.txt", "", ".", "/", "in/..", "new/x", "d/e/../../..", "\x00", "loop"} {
		f.Add(p, "x/y")
		f.Add("a.txt", p)
	}
	s, dir := fuzzTree(f)
	secret := filepath.Join(filepath.Dir(dir), "out/secret.txt")
	f.Fuzz(func(t *testing.T, p, q string) {
		s.Put(p, strings.NewReader("evil"), PutOptions{})
		s.WriteAt(q, strings.NewReader("evil"), 1, PutOptions{})
		s.MakeDir(q, 0o700, false)
		s.Chmod(p, 0o700, true)
		s.Move(p, q, true)
		s.Remove(q, true)
		if e, err := s.Stat(p, true); err == nil && e.Name == "secret.txt" && e.Size == 6 {
			t.Errorf("Stat(%q) = %+v", p, e)
		}
		if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
			t.Fatalf("%q, %q: outside there is %q, %v", p, q, b, err)
		}
		if fi, err := os.Stat(secret); err != nil || fi.Mode() != fs.FileMode(0o644) {
			t.Fatalf("%q, %q: %v, %v", p, q, fi.Mode(), err)
		}
	})
}
