package files

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// A text is the content of a file as agents see it, in UTF-8 with lines that end in "\n", together with what is needed
// to put a changed one back as it was: the line endings that the file has, also mixed ones, and its encoding.
type text struct {
	raw   string            // decoded, the line endings as in the file
	lines string            // raw with "\n" for every "\r\n" and "\r": what is shown and searched
	eol   string            // what new lines get: the more frequent of "\r\n" and "\n"
	enc   encoding.Encoding // nil is UTF-8
}

var errNotText = errors.New("is not text")

// decode finds the encoding by trying: the first that gives b back when the text is encoded again. The last one takes
// every byte, so only UTF-16 with something broken is no text. The text may share b, which must not change any more.
func decode(b []byte) (text, error) {
	if utf8.Valid(b) {
		return newText(asString(b), nil), nil
	}
	tries := []encoding.Encoding{charmap.Windows1252, charmap.ISO8859_1}
	if order, ok := utf16Order(b); ok {
		tries = []encoding.Encoding{unicode.UTF16(order, unicode.UseBOM)}
	}
	for _, enc := range tries {
		s, err := enc.NewDecoder().Bytes(b)
		if err != nil {
			continue
		}
		if back, err := enc.NewEncoder().Bytes(s); err == nil && bytes.Equal(back, b) {
			return newText(asString(s), enc), nil
		}
	}
	return text{}, errNotText
}

// utf16Order says whether b begins with the mark of UTF-16, and which.
func utf16Order(b []byte) (unicode.Endianness, bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")): // UTF-32, which nobody writes: something else
		return unicode.LittleEndian, false
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return unicode.LittleEndian, true
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return unicode.BigEndian, true
	}
	return unicode.LittleEndian, false
}

func newText(raw string, enc encoding.Encoding) text {
	t := text{raw: raw, lines: newlines(raw), eol: "\n", enc: enc}
	if crlf := strings.Count(raw, "\r\n"); crlf > 0 && 2*crlf > strings.Count(raw, "\n") {
		t.eol = "\r\n"
	}
	return t
}

// encode gives the bytes of raw in the file's encoding.
func (t text) encode(raw string) ([]byte, error) {
	if t.enc == nil {
		return []byte(raw), nil
	}
	return t.enc.NewEncoder().Bytes([]byte(raw))
}

// splice puts s in place of lines[a:b] and gives the new raw text: all else stays as it is in the file, and s gets
// the file's line endings.
func (t text) splice(a, b int, s string) string {
	if t.eol == "\r\n" {
		s = strings.ReplaceAll(newlines(s), "\n", t.eol)
	}
	return t.raw[:t.rawAt(a)] + s + t.raw[t.rawAt(b):]
}

// rawAt is where in raw the byte i of lines stands.
func (t text) rawAt(i int) int {
	if len(t.raw) == len(t.lines) { // no "\r\n": each byte is where it was
		return i
	}
	at := 0
	for {
		k := strings.Index(t.raw[at:], "\r\n")
		if k < 0 || k >= i {
			return at + i
		}
		at, i = at+k+2, i-k-1
	}
}

// newlines is s with Python's universal newlines.
func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// countLines counts as Python's iteration does: a newline at the end begins no line.
func countLines(s string) int {
	n := strings.Count(s, "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		n++
	}
	return n
}

// lineAt is the offset at which line n of s begins, counted from 0; len(s) where there is none.
func lineAt(s string, n int) int {
	at := 0
	for ; n > 0; n-- {
		k := strings.IndexByte(s[at:], '\n')
		if k < 0 {
			return len(s)
		}
		at += k + 1
	}
	return at
}
