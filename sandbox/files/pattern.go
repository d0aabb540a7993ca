package files

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// maxRegexp bounds a regular expression, in bytes.
const maxRegexp = 4096

// A matcher finds a pattern in single lines. Its text means the same to RE2 and to ripgrep: classes such as \w are written
// out, since those of ripgrep have all of Unicode, and a text's begin and end are a line's.
type matcher struct {
	text string
	re   *regexp.Regexp
}

func newMatcher(pattern string, literal, ignoreCase bool) (matcher, error) {
	if len(pattern) > maxRegexp {
		return matcher{}, fmt.Errorf("the pattern has %d bytes, at most %d can be", len(pattern), maxRegexp)
	}
	if literal {
		pattern = regexp.QuoteMeta(pattern)
	}
	flags := syntax.Perl &^ syntax.OneLine
	if ignoreCase {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(pattern, flags)
	if err != nil {
		return matcher{}, fmt.Errorf("is no regular expression (RE2's syntax; or set literal): %w", err)
	}
	if err := fitLine(tree); err != nil {
		return matcher{}, err
	}
	text := tree.String()
	re, err := regexp.Compile(text)
	if err != nil {
		return matcher{}, fmt.Errorf("is no regular expression (RE2's syntax; or set literal): %w", err)
	}
	return matcher{text, re}, nil
}

// fitLine makes the begin and end of a text those of a line, all through the tree.
func fitLine(r *syntax.Regexp) error {
	switch r.Op {
	case syntax.OpBeginText:
		r.Op = syntax.OpBeginLine
	case syntax.OpEndText:
		r.Op, r.Flags = syntax.OpEndLine, r.Flags&^syntax.WasDollar
	case syntax.OpLiteral:
		if slices.Contains(r.Rune, '\n') {
			return errors.New("a line has no newline in it: search for what stands in one line")
		}
	}
	for _, sub := range r.Sub {
		if err := fitLine(sub); err != nil {
			return err
		}
	}
	return nil
}

// forRipgrep is the text with the word boundaries of ASCII, as RE2 has them.
func (m matcher) forRipgrep() string {
	var b strings.Builder
	for i := 0; i < len(m.text); i++ {
		if m.text[i] != '\\' || i+1 == len(m.text) {
			b.WriteByte(m.text[i])
			continue
		}
		i++
		if c := m.text[i]; c == 'b' || c == 'B' {
			b.WriteString(`(?-u:\` + string(c) + `)`)
		} else {
			b.WriteString(`\` + string(c))
		}
	}
	return b.String()
}

// find gives the column of the first match in a line, in bytes from 1; 0 is none.
func (m matcher) find(line []byte) int {
	if at := m.re.FindIndex(line); at != nil {
		return at[0] + 1
	}
	return 0
}
