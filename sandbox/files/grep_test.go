package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// searchTree has something for every rule.
func searchTree(t testing.TB, dir string) {
	for name, text := range map[string]string{
		"a.go":              "package a\n\nfunc One() {}\nfunc Two() {}\n// one, two\n",
		"b/c.go":            "package c // One\r\nx\r\nOne more\r\n",
		"b/d.txt":           "one\ntwo\nthree One\nno end One",
		"b.txt":             "One\n",
		"b/deep/er/e.go":    "x := One\n",
		".hidden/f.go":      "One\n",
		".g.go":             "One\n",
		"build/out.go":      "One\n",
		"keep/build/x.go":   "One\n",
		"log/x.log":         "One\n",
		"log/important.log": "One\n",
		"sub/.gitignore":    "*.tmp\n!.shown\n/only\n",
		"sub/x.tmp":         "One\n",
		"sub/.shown":        "One\n",
		"sub/only":          "One\n",
		"sub/t/only":        "One\n",
		".gitignore":        "# made\nbuild/\n!keep/build/\n*.log\n!important.log\n",
		"bin":               "One\x00One\n",
		"bin2":              strings.Repeat("a line One\n", 10_000) + "tail One\x00One\nOne\n",
		"latin":             "caf\xe9 One\n",
		"unicode":           "ÄÖ One über\n日本 One\n",
		"long":              "One " + strings.Repeat("x", 200_000) + " Two\nOne\n",
		"empty":             "",
		"sp ace/q'uote.go":  "One\n",
		"colon:1:2":         "3:4:One\n",
		"-dash":             "One\n",
	} {
		plant(t, dir, name, text)
	}
	os.Symlink("a.go", filepath.Join(dir, "link.go"))
	os.Symlink("b", filepath.Join(dir, "linkdir"))
}

func grepAll(ctx context.Context, s *Store, o GrepOptions, yield func(GrepLine) error) (GrepSum, error) {
	g, err := s.Grep(o)
	if err != nil {
		return GrepSum{}, err
	}
	defer g.Close()
	return g.Run(ctx, yield)
}

func found(t testing.TB, s *Store, o GrepOptions) (lines []string, sum GrepSum) {
	t.Helper()
	sum, err := grepAll(t.Context(), s, o, func(l GrepLine) error {
		lines = append(lines, fmt.Sprintf("%s:%d:%d:%d:%.60s", l.Path, l.Line, l.Column, len(l.Text), l.Text))
		return nil
	})
	if err != nil {
		t.Errorf("%+v: %v", o, err)
	}
	return lines, sum
}

// TestEnginesAgree has ripgrep and the search of our own find the same.
func TestEnginesAgree(t *testing.T) {
	leak.Check(t)
	need.Tool(t, "rg")
	rg, err := exec.LookPath("rg")
	if err != nil {
		t.Fatal(err)
	}
	s, dir := open(t)
	searchTree(t, dir)
	for _, c := range []struct {
		o       GrepOptions
		matches int // -1: whatever
	}{
		{GrepOptions{Pattern: "One", Limit: 100_000}, -1},
		{GrepOptions{Pattern: "One", Glob: "*.go"}, 6},
		{GrepOptions{Pattern: "One", Glob: "*.{go,txt}"}, 9},
		{GrepOptions{Pattern: "One", Glob: "b/*.go"}, 2},
		{GrepOptions{Pattern: "One", Glob: "**/e.go"}, 1},
		{GrepOptions{Pattern: "One", Glob: "/a.go"}, 1},
		{GrepOptions{Pattern: "One", Glob: "out.go"}, 0},
		{GrepOptions{Pattern: "One", Glob: "out.go", NoIgnore: true}, 1},
		{GrepOptions{Pattern: "One", Glob: ".g.go"}, 0},
		{GrepOptions{Pattern: "One", Glob: "*.go", Hidden: true}, 8},
		{GrepOptions{Pattern: "One", Glob: "!*.go"}, 0},
		{GrepOptions{Pattern: "one", IgnoreCase: true, Limit: 100_000}, -1},
		{GrepOptions{Pattern: "One", Hidden: true, NoIgnore: true, Limit: 100_000}, -1},
		{GrepOptions{Pattern: "One", Path: "b"}, 5},
		{GrepOptions{Pattern: "One", Path: "sub"}, -1},
		{GrepOptions{Pattern: "One", Path: "b/d.txt"}, 2},
		{GrepOptions{Pattern: "^One"}, -1},
		{GrepOptions{Pattern: "One$"}, -1},
		{GrepOptions{Pattern: `\AOne\z`}, -1},
		{GrepOptions{Pattern: `\bone\b`}, -1},
		{GrepOptions{Pattern: `\w+ber`}, -1},
		{GrepOptions{Pattern: `[^\x00-\x7f]`, Glob: "unicode"}, 2},
		{GrepOptions{Pattern: `f.. One`}, -1},
		{GrepOptions{Pattern: `func (One|Two)\(\)`}, 2},
		{GrepOptions{Pattern: `()`, Literal: true}, 2},
		{GrepOptions{Pattern: `\\b`, Literal: true}, 0},
		{GrepOptions{Pattern: "(?i)ONE", Path: "b"}, 6},
		{GrepOptions{Pattern: "", Path: "b"}, -1},
		{GrepOptions{Pattern: "[[:space:]]x", Path: "b"}, -1},
		{GrepOptions{Pattern: "two", Context: 1, Path: "b"}, 1},
		{GrepOptions{Pattern: "func", Context: 2}, 2},
		{GrepOptions{Pattern: "One", Limit: 3}, 3},
		{GrepOptions{Pattern: "One", Limit: 3, Context: 1}, 3},
		{GrepOptions{Pattern: " Two"}, -1},
		{GrepOptions{Pattern: "3:4"}, 1},
		{GrepOptions{Pattern: "nothing of the kind"}, 0},
	} {
		ours, sum := found(t, s, c.o)
		c.o.Ripgrep = rg
		theirs, rgSum := found(t, s, c.o)
		if !slices.Equal(ours, theirs) {
			t.Errorf("%+v:\n%s", c.o, differing(ours, theirs))
		}
		if c.o.Path != "b/d.txt" && rgSum.Engine != "ripgrep" || sum.Engine != "go" {
			t.Errorf("%+v: engines %q and %q", c.o, sum.Engine, rgSum.Engine)
		}
		if sum.Engine, rgSum.Engine = "", ""; sum != rgSum || c.matches >= 0 && sum.Matches != c.matches {
			t.Errorf("%+v: %+v, %+v, want %d matches\n%s", c.o, sum, rgSum, c.matches, strings.Join(ours[:min(len(ours), 20)], "\n"))
		}
	}
}

func differing(a, b []string) string {
	var out []string
	for _, l := range a {
		if !slices.Contains(b, l) {
			out = append(out, "  ours alone "+l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out = append(out, "  ripgrep alone "+l)
		}
	}
	return strings.Join(append(out[:min(len(out), 10)], fmt.Sprint(len(a), " and ", len(b), " lines")), "\n")
}

func TestGrepLines(t *testing.T) {
	s, dir := open(t)
	searchTree(t, dir)
	var got []GrepLine
	sum, err := grepAll(t.Context(), s, GrepOptions{Pattern: "One$", Path: "b", Context: 1}, func(l GrepLine) error { got = append(got, l); return nil })
	want := []GrepLine{{"d.txt", 2, 0, "two"}, {"d.txt", 3, 7, "three One"}, {"d.txt", 4, 8, "no end One"}, {"deep/er/e.go", 1, 6, "x := One"}}
	if err != nil || !slices.Equal(got, want) || sum != (GrepSum{3, 2, false, "go"}) {
		t.Errorf("%v %+v\n%+v", err, sum, got)
	}
	stop := errors.New("stop")
	if _, err := grepAll(t.Context(), s, GrepOptions{Pattern: "One"}, func(GrepLine) error { return stop }); err != stop {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = grepAll(gone, s, GrepOptions{Pattern: "One"}, nil)
	wantCode(t, err, sandbox.Canceled)
	for _, c := range []struct {
		o    GrepOptions
		want sandbox.Code
	}{
		{GrepOptions{Pattern: "("}, sandbox.Invalid},
		{GrepOptions{Pattern: `a\nb`}, sandbox.Invalid},
		{GrepOptions{Pattern: "a\nb", Literal: true}, sandbox.Invalid},
		{GrepOptions{Pattern: strings.Repeat("a", 5000)}, sandbox.Invalid},
		{GrepOptions{Pattern: "((a{100}){100}){100}"}, sandbox.Invalid},
		{GrepOptions{Pattern: "a", Glob: "../x"}, sandbox.Invalid},
		{GrepOptions{Pattern: "a", Path: ".."}, sandbox.Denied},
		{GrepOptions{Pattern: "a", Path: "none"}, sandbox.NotFound},
	} {
		_, err := grepAll(t.Context(), s, c.o, nil)
		wantCode(t, err, c.want)
	}
}

// A program that is called rg and is none, or dies, does not keep anybody from searching.
func TestGrepWithoutRipgrep(t *testing.T) {
	leak.Check(t)
	s, dir := open(t)
	plant(t, dir, "f", "One\n")
	bin := t.TempDir()
	for name, script := range map[string]string{
		"noExec":  "",
		"unknown": "#!/bin/sh\necho \"error: Found argument '--sort=path' which wasn't expected\" >&2\nexit 2\n",
		"killed":  "#!/bin/sh\nkill -9 $$\n",
		"liar":    "#!/bin/sh\nprintf './../../etc/shadow\\0001:1:x\\n./none\\0001:1:x\\n\\0\\0\\n./f\\000x\\n'; echo no >&2; exit 2\n",
	} {
		rg := filepath.Join(bin, name)
		if err := os.WriteFile(rg, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		lines, sum := found(t, s, GrepOptions{Pattern: "One", Ripgrep: rg, Env: os.Environ()})
		if len(lines) != 1 || sum.Engine != "go" {
			t.Errorf("%s: %q, %+v", name, lines, sum)
		}
	}
	hangs := filepath.Join(bin, "hangs")
	if err := os.WriteFile(hangs, []byte("#!/bin/sh\nexec >&- 2>&-\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := grepAll(ctx, s, GrepOptions{Pattern: "One", Ripgrep: hangs, Env: os.Environ()}, nil)
	wantCode(t, err, sandbox.Canceled)
}

func TestGlob(t *testing.T) {
	s, dir := open(t)
	searchTree(t, dir)
	for _, c := range []struct {
		o         GlobOptions
		want      string
		truncated bool
	}{
		{GlobOptions{Pattern: "*.go"}, "a.go link.go", false},
		{GlobOptions{Pattern: "*.go", Hidden: true}, ".g.go a.go link.go", false},
		{GlobOptions{Pattern: ".*.go"}, ".g.go", false},
		{GlobOptions{Pattern: "**/*.go", Limit: 100, Ignore: true}, "a.go b/c.go b/deep/er/e.go keep/build/x.go link.go sp ace/q'uote.go", false},
		{GlobOptions{Pattern: "**/*.go"}, "a.go b/c.go b/deep/er/e.go build/out.go keep/build/x.go link.go sp ace/q'uote.go", false},
		{GlobOptions{Pattern: "b/**"}, "b/c.go b/d.txt b/deep/ b/deep/er/ b/deep/er/e.go", false},
		{GlobOptions{Pattern: "b/**", Limit: 2}, "b/c.go b/d.txt", true},
		{GlobOptions{Pattern: "**", Path: "b/deep"}, "er/ er/e.go", false},
		{GlobOptions{Pattern: "{a,b}*.{go,txt}"}, "a.go b.txt", false},
		{GlobOptions{Pattern: "b/deep/"}, "b/deep/", false},
		{GlobOptions{Pattern: "b/deep"}, "b/deep/", false},
		{GlobOptions{Pattern: "sp ace/q'uote.go"}, "sp ace/q'uote.go", false},
		{GlobOptions{Pattern: "[ab].go"}, "a.go", false},
		{GlobOptions{Pattern: ".hidden/*"}, ".hidden/f.go", false},
		{GlobOptions{Pattern: "none/*"}, "", false},
		{GlobOptions{Pattern: "a.go/*"}, "", false},
		{GlobOptions{Pattern: "linkdir"}, "linkdir", false},
		{GlobOptions{Pattern: "sub/*", Ignore: true}, "sub/.shown sub/t/", false},
	} {
		if c.o.Limit == 0 {
			c.o.Limit = 100
		}
		got, truncated, err := s.Glob(t.Context(), c.o)
		want := strings.Fields(strings.ReplaceAll(c.want, "sp ace", "sp_ace"))
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "sp_ace", "sp ace")
		}
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) || truncated != c.truncated {
			t.Errorf("%+v: %q, %v, %v", c.o, got, truncated, err)
		}
	}
	for _, c := range []struct {
		o    GlobOptions
		want sandbox.Code
	}{
		{GlobOptions{Pattern: ""}, sandbox.Invalid},
		{GlobOptions{Pattern: "/etc/*"}, sandbox.Invalid},
		{GlobOptions{Pattern: "../*"}, sandbox.Invalid},
		{GlobOptions{Pattern: "a["}, sandbox.Invalid},
		{GlobOptions{Pattern: "{a,b"}, sandbox.Invalid},
		{GlobOptions{Pattern: "a\\"}, sandbox.Invalid},
		{GlobOptions{Pattern: "[z-a]"}, sandbox.Invalid},
		{GlobOptions{Pattern: strings.Repeat("a", 2000)}, sandbox.Invalid},
		{GlobOptions{Pattern: "*", Path: ".."}, sandbox.Denied},
		{GlobOptions{Pattern: "*", Path: "none"}, sandbox.NotFound},
		{GlobOptions{Pattern: "*", Path: "a.go"}, sandbox.Invalid},
	} {
		c.o.Limit = 100
		_, _, err := s.Glob(t.Context(), c.o)
		wantCode(t, err, c.want)
	}
}

func TestCompileGlob(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"*.go", "a.go .go", "a.goo a/b.go"},
		{"**/*.go", "a.go x/a.go x/y/a.go", "a.gox"},
		{"a/**", "a/b a/b/c", "a b/a"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "a ab a/xb"},
		{"a**b", "ab axb", "a/b"},
		{"{a,b/c}/*", "a/x b/c/x", "c/x b/x"},
		{"{**/x,y}", "x a/x y", "a/y"},
		{"[a-c]?", "ax bb", "d/ a a/"},
		{"[!a]b", "bb", "ab /b"},
		{"[^a]b", "bb", "ab /b"},
		{"a[+-0]b", "a+b a0b", "a/b"},
		{"[]]x", "]x", "x"},
		{`\*\?`, "*?", "ab"},
		{"a.b", "a.b", "axb"},
		{"ü?", "üß", "ü"},
	} {
		re, err := compileGlob(c.pattern, true)
		must(t, err)
		for _, name := range strings.Fields(c.yes) {
			if !re.MatchString(name) {
				t.Errorf("%q does not match %q: %v", c.pattern, name, re)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if re.MatchString(name) {
				t.Errorf("%q matches %q: %v", c.pattern, name, re)
			}
		}
	}
}
