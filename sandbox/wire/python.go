package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRepr bounds what a message of failure quotes of its input, in bytes.
const maxRepr = 4 << 10

// repr writes JSON as Python prints the value, which is what the original's messages have; cut at maxRepr.
func repr(raw []byte) string {
	b := appendRepr(nil, raw)
	if len(b) > maxRepr {
		b = b[:maxRepr]
		for !utf8.Valid(b) {
			b = b[:len(b)-1]
		}
		b = append(b, "…"...)
	}
	return string(b)
}

func appendRepr(dst, raw []byte) []byte {
	if len(dst) > maxRepr || len(raw) == 0 {
		return dst
	}
	switch raw[0] {
	case '"':
		s, _ := unquote(raw)
		return appendReprString(dst, s)
	case '{':
		dst = append(dst, '{')
		m := object(raw, "")
		for first := true; m.next(); first = false {
			if !first {
				dst = append(dst, ", "...)
			}
			dst = append(appendReprString(dst, string(m.key)), ": "...)
			dst = appendRepr(dst, m.value)
		}
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		first := true
		elements(raw, func(value []byte) error {
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			dst = appendRepr(dst, value)
			return nil
		})
		return append(dst, ']')
	case 't':
		return append(dst, "True"...)
	case 'f':
		return append(dst, "False"...)
	case 'n':
		return append(dst, "None"...)
	}
	return append(dst, raw...)
}

func appendReprString(dst []byte, s string) []byte {
	if len(s) > maxRepr {
		s = s[:maxRepr]
	}
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	dst = append(dst, quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		case !unicode.IsPrint(r) && r < 0x100:
			dst = append(dst, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		case !unicode.IsPrint(r):
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, quote)
}

// literalJSON turns a Python literal (dicts, lists, tuples, strings, numbers, True, False, None) into JSON.
func literalJSON(s string) ([]byte, error) {
	p := literal{s: s}
	b, err := p.value(nil, 0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.s != "" {
		return nil, errLiteral
	}
	return check(b)
}

var errLiteral = errors.New("no Python literal that we read")

// A literal is what is left of one.
type literal struct{ s string }

func (p *literal) space() { p.s = strings.TrimLeft(p.s, " \t\r\n") }

func (p *literal) take(prefix string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.s, prefix)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *literal) value(dst []byte, depth int) ([]byte, error) {
	p.space()
	switch {
	case p.s == "" || depth > maxDepth:
		return nil, errLiteral
	case p.take("{"):
		return p.sequence(append(dst, '{'), "}", true, depth+1)
	case p.take("["):
		return p.sequence(append(dst, '['), "]", false, depth+1)
	case p.take("("):
		return p.sequence(append(dst, '['), ")", false, depth+1)
	case p.take("True"):
		return append(dst, "true"...), nil
	case p.take("False"):
		return append(dst, "false"...), nil
	case p.take("None"):
		return append(dst, "null"...), nil
	case p.s[0] == '\'' || p.s[0] == '"':
		s, err := p.text()
		return appendString(dst, s), err
	}
	n := strings.IndexFunc(p.s, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if n < 0 {
		n = len(p.s)
	}
	if _, err := strconv.ParseFloat(p.s[:n], 64); err != nil {
		return nil, errLiteral
	}
	dst = append(dst, p.s[:n]...)
	p.s = p.s[n:]
	return dst, nil
}

func (p *literal) sequence(dst []byte, end string, pairs bool, depth int) (_ []byte, err error) {
	for first := true; ; first = false {
		if p.take(end) {
			break
		}
		if !first {
			dst = append(dst, ',')
		}
		if pairs {
			if p.space(); p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
				return nil, errLiteral
			}
			key, err := p.text()
			if err != nil || !p.take(":") {
				return nil, errLiteral
			}
			dst = append(appendString(dst, key), ':')
		}
		if dst, err = p.value(dst, depth); err != nil {
			return nil, err
		}
		if !p.take(",") {
			if !p.take(end) {
				return nil, errLiteral
			}
			break
		}
	}
	if end == "}" {
		return append(dst, '}'), nil
	}
	return append(dst, ']'), nil
}

// text reads a quoted string; adjacent ones are one, as in Python.
func (p *literal) text() (string, error) {
	var s strings.Builder
	for p.s != "" && (p.s[0] == '\'' || p.s[0] == '"') {
		quote := p.s[:1]
		if strings.HasPrefix(p.s, strings.Repeat(quote, 3)) {
			quote = p.s[:3]
		}
		p.s = p.s[len(quote):]
		for !strings.HasPrefix(p.s, quote) {
			if p.s == "" || p.s[0] == '\n' && len(quote) == 1 {
				return "", errLiteral
			}
			if err := p.character(&s); err != nil {
				return "", err
			}
		}
		p.s = p.s[len(quote):]
		p.space()
	}
	return s.String(), nil
}

// character moves one character, or one escape, to s.
func (p *literal) character(s *strings.Builder) error {
	if p.s[0] != '\\' {
		r, n := utf8.DecodeRuneInString(p.s)
		s.WriteRune(r)
		p.s = p.s[n:]
		return nil
	}
	if len(p.s) < 2 {
		return errLiteral
	}
	c := p.s[1]
	p.s = p.s[2:]
	digits := 0
	switch c {
	case '\n': // the line goes on
	case '\\', '\'', '"':
		s.WriteByte(c)
	case 'n':
		s.WriteByte('\n')
	case 't':
		s.WriteByte('\t')
	case 'r':
		s.WriteByte('\r')
	case 'a':
		s.WriteByte('\a')
	case 'b':
		s.WriteByte('\b')
	case 'f':
		s.WriteByte('\f')
	case 'v':
		s.WriteByte('\v')
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case '0', '1', '2', '3', '4', '5', '6', '7', 'N':
		return errLiteral // octal and named characters: nobody's repr writes them
	default:
		s.WriteByte('\\')
		s.WriteByte(c)
	}
	if digits > 0 {
		if len(p.s) < digits {
			return errLiteral
		}
		n, err := strconv.ParseUint(p.s[:digits], 16, 32)
		if err != nil {
			return errLiteral
		}
		s.WriteRune(rune(n))
		p.s = p.s[digits:]
	}
	return nil
}
