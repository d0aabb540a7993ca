package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// ignored are the patterns of a .dockerignore: as those of path.Match, with "**" for any number of directories; the last one
// that fits a path or a directory above it decides, and "!" before it makes an exception.
type ignored struct {
	patterns   []string
	exceptions bool // there are some, so that directories that are ignored must be looked through
}

func readIgnored(root *os.Root) (ignored, error) {
	var i ignored
	b, err := root.ReadFile(".dockerignore")
	if errors.Is(err, fs.ErrNotExist) {
		return i, nil
	} else if err != nil {
		return i, err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, exception := strings.CutPrefix(line, "!")
		pattern = strings.TrimPrefix(path.Clean(strings.TrimSpace(pattern)), "/")
		if _, err := path.Match(pattern, ""); err != nil {
			return i, coded{sandbox.Invalid, fmt.Errorf(".dockerignore: %q: %w", line, err)}
		}
		if exception {
			i.exceptions = true
			pattern = "!" + pattern
		}
		i.patterns = append(i.patterns, pattern)
	}
	return i, nil
}

// has says whether a path is ignored.
func (i ignored) has(name string) bool {
	is := false
	for _, p := range i.patterns {
		pattern, exception := strings.CutPrefix(p, "!")
		if is == exception && fitsAbove(strings.Split(pattern, "/"), strings.Split(name, "/")) {
			is = !exception
		}
	}
	return is
}

// fitsAbove says whether a pattern fits a path or a directory above it.
func fitsAbove(pattern, name []string) bool {
	for n := 1; n <= len(name); n++ {
		if fits(pattern, name[:n]) {
			return true
		}
	}
	return false
}

func fits(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		for n := range len(name) + 1 {
			if fits(pattern[1:], name[n:]) {
				return true
			}
		}
		return false
	case len(name) == 0:
		return false
	}
	ok, _ := path.Match(pattern[0], name[0])
	return ok && fits(pattern[1:], name[1:])
}
