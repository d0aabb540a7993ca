package browser

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// str reads a string in single or double, simple or triple quotes.
func (p *parser) str() (string, bool) {
	quote := p.text[p.at : p.at+1]
	if strings.HasPrefix(p.text[p.at:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	from := p.at
	p.at += len(quote)
	var b strings.Builder
	for !p.end() {
		switch c := p.text[p.at]; {
		case strings.HasPrefix(p.text[p.at:], quote):
			p.at += len(quote)
			return b.String(), true
		case c == '\\':
			p.at++
			p.escape(&b)
		case c == '\n' && len(quote) == 1:
			p.budget -= p.at - from
			p.at = from
			return "", false
		default:
			b.WriteByte(c)
			p.at++
		}
	}
	p.budget -= p.at - from
	p.at = from
	return "", false
}

// escape reads what follows a backslash. One that means nothing stands for itself.
func (p *parser) escape(b *strings.Builder) {
	if p.end() {
		return
	}
	c := p.text[p.at]
	p.at++
	switch n := strings.IndexByte("ntr\\'\"abfv", c); {
	case c == '\n': // the line goes on
	case n >= 0:
		b.WriteByte("\n\t\r\\'\"\a\b\f\v"[n])
	case c == 'x' && p.code(b, 2, 16), c == 'u' && p.code(b, 4, 16), c == 'U' && p.code(b, 8, 16):
	case c >= '0' && c <= '7':
		p.at--
		n := 1
		for n < 3 && p.at+n < len(p.text) && p.text[p.at+n] >= '0' && p.text[p.at+n] <= '7' {
			n++
		}
		p.code(b, n, 8)
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}

// code reads a character's number of n digits.
func (p *parser) code(b *strings.Builder, n, base int) bool {
	if p.at+n > len(p.text) {
		return false
	}
	r, err := strconv.ParseUint(p.text[p.at:p.at+n], base, 32)
	if err != nil {
		return false
	}
	p.at += n
	if r > utf8.MaxRune {
		r = utf8.RuneError
	}
	b.WriteRune(rune(r))
	return true
}
