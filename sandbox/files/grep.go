package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

const (
	maxGrepText      = 4 << 10 // bytes of a line that are shown
	maxGrepLine      = 1 << 20 // bytes of a line that are searched
	defaultGrepLimit = 1000
	binarySign       = 8000 // a NUL in so many bytes from the begin makes a file binary, as for git
)

// GrepOptions ask for lines of the files below Path, or of the file Path.
type GrepOptions struct {
	Path, Pattern string // Pattern is a regular expression in RE2's syntax
	Literal       bool   // or stands for itself
	IgnoreCase    bool
	Glob          string // only files whose path, or name if it has no '/', matches; "" is all
	Hidden        bool   // also what begins with a dot
	NoIgnore      bool   // also what a .gitignore below Path names
	Context       int    // lines before and after a match
	Limit         int    // of matches; 0 is 1,000

	// Ripgrep is the program that may search, as Child says and with the environment Env; "" has the search done here.
	// Either has the rights of what runs in the sandbox, Child.User: what he may not read is passed over, here as far as the
	// permissions tell. What they find is the same, but that for ripgrep no class of characters has a byte that is not UTF-8.
	Ripgrep string
	Child   child.Config
	Env     []string
}

// A GrepLine is a line that matches, or stands around one that does.
type GrepLine struct {
	Path   string // relative to GrepOptions.Path
	Line   int    // from 1
	Column int    // of the first match, in bytes from 1; 0 in a line that only stands around
	Text   string // valid UTF-8, without the line's end, cut to 4 KiB
}

// GrepSum is what was found in all.
type GrepSum struct {
	Matches, Files int // lines that match, and files that have such
	Truncated      bool
	Engine         string // "ripgrep" or "go"
}

// A Search is one that has been asked for, and can be run once.
type Search struct {
	grep
	path string
	root *os.Root
	rel  string
	dir  bool
}

// Grep begins a search: what is wrong with the request shows here. The caller runs the search or not, and closes it.
// Codes: Invalid, Denied, NotFound.
func (s *Store) Grep(o GrepOptions) (*Search, error) {
	m, err := newMatcher(o.Pattern, o.Literal, o.IgnoreCase)
	var glob *regexp.Regexp
	if err == nil && o.Glob != "" {
		glob, err = newGlob(strings.TrimPrefix(o.Glob, "/"))
	}
	if err != nil {
		return nil, refuse(sandbox.Invalid, "Grep", o.Pattern, "%w", err)
	}
	if o.Limit <= 0 {
		o.Limit = defaultGrepLimit
	}
	root, rel, err := s.at("Grep", o.Path)
	if err != nil {
		return nil, err
	}
	fi, err := root.Lstat(rel)
	if err == nil && !fi.IsDir() {
		err = regular(fi)
	}
	if err != nil {
		root.Close()
		return nil, fail("Grep", o.Path, err)
	}
	return &Search{grep{o: o, glob: glob, matcher: m, sum: GrepSum{Engine: "go"}}, o.Path, root, rel, fi.IsDir()}, nil
}

// Close lets go of what the search holds.
func (s *Search) Close() error { return s.root.Close() }

// Run finds lines, by files in the order of a walk, and gives each to yield, whose error ends the search and is returned.
// Links are not followed. A file with a NUL in its first 8,000 bytes is passed over. Of a line the first MiB is searched.
// Memory does not grow with what is searched. Codes: Invalid, Denied, NotFound, Canceled.
func (s *Search) Run(ctx context.Context, yield func(GrepLine) error) (GrepSum, error) {
	s.yield = yield
	var err error
	if s.dir {
		err = s.tree(ctx, s.root, s.rel)
	} else {
		up, name := split(s.rel)
		err = s.oneFile(ctx, s.root, up, name)
	}
	switch {
	case errors.Is(err, errEnough):
		s.sum.Truncated = true
	case s.failed != nil: // yield's, as it is
		return s.sum, s.failed
	case err != nil:
		return s.sum, fail("Grep", s.path, err)
	}
	return s.sum, nil
}

// A grep is one search.
type grep struct {
	o GrepOptions
	matcher
	glob   *regexp.Regexp // nil has every file
	yield  func(GrepLine) error
	failed error // of yield
	sum    GrepSum
	last   string // file that had the last match
	buf    []byte // a line in the making
}

var errEnough = errors.New("enough was found")

func (g *grep) oneFile(ctx context.Context, root *os.Root, dir, name string) error {
	in, err := root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	f, fi, err := openRegularIn(in, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if !allows(g.o.Child.User, fi, mayRead) {
		return &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES}
	}
	return g.search(ctx, f, name)
}

func (g *grep) tree(ctx context.Context, root *os.Root, rel string) error {
	top, err := root.OpenRoot(rel)
	if err != nil {
		return err
	}
	defer top.Close()
	all := &selection{top: top, hidden: g.o.Hidden, noIgnore: g.o.NoIgnore}
	if g.o.Ripgrep != "" {
		err := g.ripgrep(ctx, all)
		if !errors.Is(err, errNoRipgrep) || g.sum.Matches > 0 {
			return err
		}
	}
	g.sum.Engine, all.lists = "go", nil
	if fi, err := top.Stat("."); err != nil || !allows(g.o.Child.User, fi, mayRead|maySearch) {
		return cmp.Or[error](err, &fs.PathError{Op: "open", Path: rel, Err: syscall.EACCES})
	}
	return all.walk(ctx, -1, func(name string, e fs.DirEntry) error { return g.visit(ctx, top, name, e) })
}

// visit searches a file, or says whether what is in a directory is to be.
func (g *grep) visit(ctx context.Context, top *os.Root, name string, e fs.DirEntry) error {
	if e.IsDir() {
		if fi, err := e.Info(); err != nil || !allows(g.o.Child.User, fi, mayRead|maySearch) {
			return fs.SkipDir
		}
		return nil
	}
	if !e.Type().IsRegular() || !g.wants(name) {
		return nil
	}
	f, fi, err := openRegularIn(top, name)
	if err != nil {
		return nil // gone, or not ours to read
	}
	defer f.Close()
	if !allows(g.o.Child.User, fi, mayRead) {
		return nil
	}
	return g.search(ctx, f, name)
}

// wants says whether the glob lets a file be searched.
func (g *grep) wants(name string) bool {
	if g.glob != nil && !strings.Contains(g.o.Glob, "/") {
		name = base(name)
	}
	return g.glob == nil || g.glob.MatchString(name)
}

// found takes a line of the file name, as both engines find them in the same order.
func (g *grep) found(name string, line, column int, text []byte) error {
	if column > 0 {
		if g.sum.Matches++; g.last != name {
			g.last = name
			g.sum.Files++
		}
	}
	if g.failed = g.yield(GrepLine{name, line, column, shown(text)}); g.failed != nil {
		return g.failed
	}
	if column > 0 && g.sum.Matches >= g.o.Limit {
		return errEnough
	}
	return nil
}

// shown is a line as it is given out.
func shown(text []byte) string {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	if len(text) > maxGrepText {
		text = wholeRunes(text[:maxGrepText])
	}
	if utf8.Valid(text) {
		return string(text)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
