package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// GlobOptions ask for paths below the directory Path.
type GlobOptions struct {
	Path    string
	Pattern string // *, ?, [a-z], {a,b} and ** for any number of directories, relative to Path
	Hidden  bool   // names that begin with a dot too; else only if the pattern names such
	Ignore  bool   // not what a .gitignore below Path names
	Limit   int    // of paths
}

// Glob finds the paths that match, relative to o.Path and sorted, directories with a '/' at the end. Links are not followed.
// truncated says that there are more than o.Limit. Codes: Invalid, Denied, NotFound, Canceled.
func (s *Store) Glob(ctx context.Context, o GlobOptions) (paths []string, truncated bool, err error) {
	if _, err := newGlob(o.Pattern); err != nil {
		return nil, false, refuse(sandbox.Invalid, "Glob", o.Pattern, "%w", err)
	}
	whole, _, err := s.openTree("Glob", o.Path)
	if err != nil {
		return nil, false, err
	}
	whole.Close()
	base, rest := ".", tidy(o.Pattern)
	if !o.Ignore { // else the rules on the way count
		base, rest = splitGlob(rest)
	}
	matches, err := compileGlob(rest, true)
	if err != nil {
		return nil, false, refuse(sandbox.Invalid, "Glob", o.Pattern, "%w", err)
	}
	top, _, err := s.openTree("Glob", join(cmp.Or(o.Path, "."), base))
	if code := sandbox.CodeOf(err); code == sandbox.NotFound || code == sandbox.Invalid {
		return nil, false, nil // what the pattern begins with is no directory here
	} else if err != nil {
		return nil, false, err
	}
	defer top.Close()
	all := &selection{top: top, hidden: o.Hidden || strings.HasPrefix(rest, ".") || strings.Contains(rest, "/."), noIgnore: !o.Ignore}
	err = all.walk(ctx, depthOf(rest), func(name string, e fs.DirEntry) error {
		if !matches.MatchString(name) {
			return nil
		}
		if len(paths) == o.Limit {
			truncated = true
			return fs.SkipAll
		}
		name = join(base, name)
		if e.IsDir() {
			name += "/"
		}
		paths = append(paths, name)
		return nil
	})
	if err != nil {
		return nil, false, fail("Glob", o.Path, err)
	}
	slices.Sort(paths)
	return paths, truncated, nil
}

// depthOf is how many directories deep a pattern can match, -1 if it can at any depth.
func depthOf(pattern string) int {
	if strings.Contains(pattern, "**") || strings.Contains(pattern, "{") {
		return -1
	}
	return strings.Count(pattern, "/")
}

// newGlob refuses what is no pattern, or one that leads out of the directory that it is for.
func newGlob(p string) (*regexp.Regexp, error) {
	if p == "" || strings.HasPrefix(p, "/") {
		return nil, errors.New("a pattern is relative to the path, and not empty")
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return nil, errors.New("a pattern has no \"..\": ask for another path")
		}
	}
	if err := checkPath(p); err != nil {
		return nil, err
	}
	return compileGlob(p, true)
}
