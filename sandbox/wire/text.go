package wire

import (
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// plain tells the bytes that stand for themselves in a JSON string: ASCII but for controls, '"' and '\'. HTML is not escaped.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// Every byte of a word.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// special sets the high bit of the bytes in eight that are controls, '"' or '\'. Eight at a time are several times as fast as one by one,
// and as fast wherever the linker puts the loop. The lowest bit set is exact; one above it may be a borrow.
func special(x uint64) uint64 {
	quote, slash := x^'"'*ones, x^'\\'*ones
	return ((x-0x20*ones)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// verbatim gives the first index from i on whose byte does not stand for itself in a JSON string, or len(s). Bytes beyond ASCII do where
// s is known to be UTF-8.
func verbatim[T string | []byte](s T, i int, known bool) int {
	beyond := uint64(highs)
	if known {
		beyond = 0
	}
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | // one load
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		if m := special(x) | x&beyond; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(s) && (plain[s[i]] || known && s[i] >= utf8.RuneSelf) {
		i++
	}
	return i
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string; a byte that is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	return append(appendText(append(dst, '"'), s), '"')
}

// appendText appends s as it stands between the quotes of a JSON string.
func appendText(dst []byte, s string) []byte {
	from, known := 0, false
	for i := 0; ; {
		if i = verbatim(s, i, known); i == len(s) {
			return append(dst, s[from:]...)
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			if !utf8.ValidString(s[i:]) {
				return appendText(append(dst, s[from:i]...), string([]rune(s[i:]))) // a U+FFFD for each byte that is none
			}
			known = true
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
}

func appendStringOrNull(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return appendString(dst, *s)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
