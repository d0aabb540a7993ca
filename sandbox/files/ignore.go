package files

import (
	"io"
	"os"
	"strings"
)

const (
	ignoreFile     = ".gitignore"
	maxIgnoreFile  = 1 << 20 // bytes of one that are read
	maxIgnoreRules = 5000    // of one file that count: each is tried on every name
)

// An ignoreRule is a line of a .gitignore, as gitignore(5) has them.
type ignoreRule struct {
	pattern matching // for a path below the file's directory
	keep    bool     // takes back what earlier rules say
	dirOnly bool
}

// An ignoreList is the rules of the .gitignore in dir.
type ignoreList struct {
	dir   string // "." or its way from the top
	rules []ignoreRule
}

func readIgnore(root *os.Root, dir string) ignoreList {
	l := ignoreList{dir: dir}
	f, _, err := openRegularIn(root, join(dir, ignoreFile))
	if err != nil {
		return l // there is none, or none that we can or should read
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile))
	if err == nil {
		l.rules = parseIgnore(string(b))
	}
	return l
}

func parseIgnore(s string) (rules []ignoreRule) {
	for line := range strings.SplitSeq(s, "\n") {
		if r, ok := parseIgnoreLine(strings.TrimSuffix(line, "\r")); ok && len(rules) < maxIgnoreRules {
			rules = append(rules, r)
		}
	}
	return rules
}

func parseIgnoreLine(line string) (r ignoreRule, ok bool) {
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	if line == "" || line[0] == '#' {
		return r, false
	}
	line, r.keep = strings.CutPrefix(line, "!")
	line, r.dirOnly = strings.CutSuffix(line, "/")
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return r, false
	}
	re, err := compileGlob(line, false)
	switch plain := !strings.ContainsAny(line, `*?[\`); {
	case err != nil:
		return r, false
	case anchored:
		r.pattern = re.MatchString
	case plain: // most are such
		r.pattern = func(name string) bool { return base(name) == line }
	case strings.HasPrefix(line, "*") && !strings.ContainsAny(line[1:], `*?[\`):
		r.pattern = func(name string) bool { return strings.HasSuffix(name, line[1:]) }
	default:
		r.pattern = func(name string) bool { return re.MatchString(base(name)) }
	}
	return r, true
}

type matching = func(name string) bool

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// A verdict is what ignore rules say of a name.
type verdict int

const (
	unnamed verdict = iota
	ignored
	kept // against earlier rules, and also if it is hidden
)

// judge asks the rules for name, a path from the top; the last that matches counts.
func (l ignoreList) judge(name string, isDir bool) verdict {
	rel := name
	if l.dir != "." {
		rel = strings.TrimPrefix(name, l.dir+"/")
	}
	for i := len(l.rules) - 1; i >= 0; i-- {
		r := l.rules[i]
		if r.dirOnly && !isDir || !r.pattern(rel) {
			continue
		}
		if r.keep {
			return kept
		}
		return ignored
	}
	return unnamed
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
