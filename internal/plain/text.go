// Package plain writes text for people at a terminal: safe to print, whoever wrote it, and in columns.
package plain

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text makes a text safe for a terminal: control characters but tab and newline, and those that turn the direction of
// what follows (so that a text reads otherwise than it is), are shown and not obeyed. A CR before a newline is left out.
func Text(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case clean(r):
			b.WriteRune(r)
		case r < ' ':
			b.WriteByte('^')
			b.WriteByte(byte(r) + '@')
		case r < 0x100:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

func clean(r rune) bool {
	switch {
	case r == '\t' || r == '\n':
		return true
	case r < ' ' || r >= 0x7f && r <= 0x9f:
		return false
	}
	return !turns(r)
}

// turns says whether r is one of the explicit controls of Unicode's bidirectional algorithm (UAX #9).
func turns(r rune) bool {
	return r == 0x200e || r == 0x200f || r == 0x061c || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Line is a text on one line: Text, with every run of white space one blank, and cut to most characters.
func Line(s string, most int) string {
	s = Text(strings.Join(strings.Fields(s), " "))
	if runes := []rune(s); len(runes) > most {
		return string(runes[:max(0, most-1)]) + "…"
	}
	return s
}

// Wrap is Line in pieces of at most width characters, broken between words. A word that is longer has a piece to itself.
func Wrap(s string, most, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(Line(s, most)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
