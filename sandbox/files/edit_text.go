package files

import (
	"fmt"
	"strings"
	"unicode"
)

// snippetContext is how many lines around a change the agent is shown.
const snippetContext = 4

// maxListed bounds the line numbers in a text: an empty old_str matches everywhere, and a file may have millions of lines.
const maxListed = 10_000

// replaceString puts newStr (nil is empty) in place of the one occurrence of oldStr.
func (s *Store) replaceString(p, oldStr string, newStr *string) (change, error) {
	t, old, fi, err := load(p)
	if err != nil {
		return change{}, err
	}
	repl := ""
	if newStr != nil {
		repl = *newStr
	}
	if t.raw != t.lines { // a model may have seen the file as it is
		oldStr = newlines(oldStr)
	}
	at, lines := occurrences(t.lines, oldStr)
	if at < 0 { // models add blanks around
		oldStr, repl = strip(oldStr), strip(repl)
		at, lines = occurrences(t.lines, oldStr)
	}
	if at < 0 {
		return change{}, refusef("No replacement was performed, old_str `%s` did not appear verbatim in %s.", oldStr, p)
	}
	if len(lines) > 0 {
		return change{}, refusef("No replacement was performed. Multiple occurrences of old_str `%s` in lines %s. Please ensure it is unique.", oldStr, pythonList(lines))
	}
	after, err := s.save(p, t, t.splice(at, at+len(oldStr), repl), old, fi)
	if err != nil {
		return change{}, err
	}
	line := strings.Count(t.lines[:at], "\n") + 1
	first := max(0, line-snippetContext)
	snippet := between(after.lines, first, line+snippetContext+strings.Count(repl, "\n"))
	return change{
		output: fmt.Sprintf("The file %s has been edited. %sReview the changes and make sure they are as expected. Edit the file again if necessary.",
			p, numbered(snippet, "a snippet of "+p, first+1)),
		before: t.lines,
		after:  after.lines,
	}, nil
}

// occurrences finds where sub stands in s without overlap: at is the first place, -1 if there is none, and lines are
// those of all places, each once, if there are several. An empty sub stands before every character and at the end.
func occurrences(s, sub string) (at int, lines []int) {
	if at = strings.Index(s, sub); at < 0 {
		return -1, nil
	}
	line, from, n := 1, 0, 0
	for next := at; len(lines) < maxListed; {
		line += strings.Count(s[from:next], "\n")
		if k := len(lines); k == 0 || lines[k-1] != line {
			lines = append(lines, line)
		}
		n++
		from = next
		if next += max(len(sub), 1); next > len(s) {
			break
		}
		k := strings.Index(s[next:], sub)
		if k < 0 {
			break
		}
		next += k
	}
	if n == 1 {
		return at, nil
	}
	return at, lines
}

// strip is Python's str.strip.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}

// insert puts the lines of newStr after line n of the file; 0 is before all. A last line that lacks its newline gets it.
func (s *Store) insert(p string, n int, newStr string) (change, error) {
	t, old, fi, err := load(p)
	if err != nil {
		return change{}, err
	}
	count := countLines(t.lines)
	if n < 0 || n > count {
		return change{}, badParameter("insert_line", fmt.Sprint(n),
			"It should be within the range of allowed values: "+pythonList([]int{0, count}))
	}
	at := lineAt(t.lines, n)
	block := newStr + "\n"
	if at > 0 && t.lines[at-1] != '\n' {
		block = "\n" + block
	}
	after, err := s.save(p, t, t.splice(at, at, block), old, fi)
	if err != nil {
		return change{}, err
	}
	added := strings.Count(newStr, "\n") + 1
	snippet := between(after.lines, max(0, n-snippetContext), min(count+added, n+snippetContext+added))
	return change{
		output: fmt.Sprintf("The file %s has been edited. %sReview the changes and make sure they are as expected (correct indentation, no duplicate lines, etc). Edit the file again if necessary.",
			p, numbered(snippet, "a snippet of the edited file", max(1, n-snippetContext+1))),
		before: t.lines,
		after:  after.lines,
	}, nil
}

// between is lines first to last of s, counted from 0, last exclusive, with their newlines.
func between(s string, first, last int) string {
	a := lineAt(s, first)
	return s[a : a+lineAt(s[a:], max(0, last-first))]
}
