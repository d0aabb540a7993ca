package files

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxPattern bounds a glob, in bytes.
const maxPattern = 1024

var errPattern = errors.New("is no pattern: *, ?, [a-z], {a,b} and ** are known, and \\ takes a character as it is")

// compileGlob makes a glob a regular expression of RE2, which takes no longer than its name does, whatever strangers ask: a
// matcher that tries one way after another can be kept busy for hours. "**" as a whole element is any number of
// directories, at the end of a pattern all that is in one. Without braces, those stand for themselves.
func compileGlob(p string, braces bool) (*regexp.Regexp, error) {
	if len(p) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes, at most %d can be", len(p), maxPattern)
	}
	var b strings.Builder
	b.WriteString(`(?s)\A(?:`)
	depth := 0
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case c == '\\':
			if i++; i == len(p) {
				return nil, errPattern
			}
			_, n := utf8.DecodeRuneInString(p[i:])
			b.WriteString(regexp.QuoteMeta(p[i : i+n]))
			i += n
		case c == '*':
			i += writeStars(&b, p, i)
		case c == '?':
			b.WriteString(`[^/]`)
			i++
		case c == '[':
			n := writeClass(&b, p[i:])
			if n == 0 {
				return nil, errPattern
			}
			i += n
		case braces && c == '{':
			b.WriteString(`(?:`)
			depth++
			i++
		case depth > 0 && c == ',':
			b.WriteByte('|')
			i++
		case depth > 0 && c == '}':
			b.WriteByte(')')
			depth--
			i++
		default:
			_, n := utf8.DecodeRuneInString(p[i:])
			b.WriteString(regexp.QuoteMeta(p[i : i+n]))
			i += n
		}
	}
	b.WriteString(`)\z`)
	re, err := regexp.Compile(b.String())
	if depth > 0 || err != nil {
		return nil, errPattern
	}
	return re, nil
}

// writeStars writes what the stars at p[i:] stand for, and gives how many bytes of p that were.
func writeStars(b *strings.Builder, p string, i int) int {
	n := len(p[i:]) - len(strings.TrimLeft(p[i:], "*"))
	begins := i == 0 || strings.IndexByte("/{,", p[i-1]) >= 0
	rest := p[i+n:]
	switch {
	case n > 1 && begins && strings.HasPrefix(rest, "/"):
		b.WriteString(`(?:[^/]+/)*`)
		return n + 1
	case n > 1 && begins && (rest == "" || strings.IndexByte(",}", rest[0]) >= 0):
		b.WriteString(`.+`)
	default:
		b.WriteString(`[^/]*`)
	}
	return n
}

// writeClass writes the class that p begins with, which never has a '/', and gives its bytes; 0 if it is none.
func writeClass(b *strings.Builder, p string) int {
	i, not := 1, false
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		i, not = i+1, true
	}
	var set strings.Builder
	for first := true; i < len(p) && (first || p[i] != ']'); first = false {
		lo, n := classRune(p[i:])
		i += n
		hi := lo
		if strings.HasPrefix(p[i:], "-") && i+1 < len(p) && p[i+1] != ']' {
			hi, n = classRune(p[i+1:])
			i += 1 + n
		}
		if n == 0 || lo > hi {
			return 0
		}
		if lo <= '/' && '/' <= hi {
			writeRange(&set, lo, '/'-1)
			lo = '/' + 1
		}
		writeRange(&set, lo, hi)
	}
	switch {
	case i >= len(p):
		return 0
	case not:
		b.WriteString(`[^/` + set.String() + `]`)
	case set.Len() == 0:
		b.WriteString(`[^\x{0}-\x{10FFFF}]`) // nothing
	default:
		b.WriteString(`[` + set.String() + `]`)
	}
	return i + 1
}

func classRune(p string) (rune, int) {
	skip := 0
	if strings.HasPrefix(p, `\`) {
		skip = 1
	}
	r, n := utf8.DecodeRuneInString(p[skip:])
	if n == 0 {
		return 0, 0
	}
	return r, n + skip
}

func writeRange(b *strings.Builder, lo, hi rune) {
	if lo <= hi {
		fmt.Fprintf(b, `\x{%X}-\x{%X}`, lo, hi)
	}
}

// splitGlob cuts off what a pattern begins with that is no pattern: names of directories. base is "." if there are none.
func splitGlob(p string) (base, rest string) {
	base, rest = ".", p
	for {
		name, more, ok := strings.Cut(rest, "/")
		if !ok || strings.ContainsAny(name, `*?[{}\,`) {
			return base, rest
		}
		base, rest = join(base, name), more
	}
}
