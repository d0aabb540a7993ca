package shell

import "unicode/utf8"

const hex = "0123456789abcdef"

// appendQuoted appends s as a bash word of the form $'…', all on one line. NUL bytes, which no shell word can have,
// are dropped.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, "$'"...)
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				dst = append(dst, s[i:i+n]...)
				i += n
				continue
			}
		}
		i++
		switch {
		case c == 0:
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\'' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == '!' || c >= 0x7f: // '!': a shell with history expansion on would expand it
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '\'')
}
