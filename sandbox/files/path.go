package files

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxPath = 4095 // bytes: Linux's PATH_MAX without its NUL
	maxName = 255  // bytes: NAME_MAX
)

// checkPath refuses what no file can be called, before anything is asked of the system.
func checkPath(p string) error {
	switch {
	case strings.IndexByte(p, 0) >= 0:
		return errors.New("the path has a NUL byte")
	case !utf8.ValidString(p):
		return errors.New("the path is not valid UTF-8")
	case len(p) > maxPath:
		return fmt.Errorf("the path has %d bytes, at most %d can be", len(p), maxPath)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("a name in the path has %d bytes, at most %d can be", len(name), maxName)
		}
	}
	return nil
}

// tidy is p as Python's pathlib would write it: no "//", no "/./", no '/' at the end, but every "..", because what
// lies behind one depends on links. An empty path is ".".
func tidy(p string) string {
	var names []string
	for name := range strings.SplitSeq(p, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	joined := strings.Join(names, "/")
	switch {
	case strings.HasPrefix(p, "/"):
		return "/" + joined
	case joined == "":
		return "."
	}
	return joined
}

// resolve is where the actions read and write find p: below cwd, unless it is absolute.
func resolve(cwd, p string) string {
	if strings.HasPrefix(p, "/") {
		return tidy(p)
	}
	return tidy(cwd + "/" + p)
}

// split cuts p before its last element, without touching a ".." as filepath.Split's callers tend to. dir opens as it is.
func split(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	switch i {
	case -1:
		return ".", p
	case 0:
		return "/", p[1:]
	}
	return p[:i], p[i+1:]
}
