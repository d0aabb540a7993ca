package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// members walks an object that check has passed. The methods named after types read the value of the current member and
// note the first failure in err.
type members struct {
	b     []byte
	i     int
	key   []byte // of the current member, unescaped
	value []byte
	err   error

	needs  []string // names to look out for
	seen   uint     // bit i: needs[i] has been met
	native bool     // of the native form: mistakes are put in its words
}

// object begins a walk over raw; if that is no object, there are no members and err says so.
func object(raw []byte, what string) members {
	if len(raw) == 0 || raw[0] != '{' {
		return members{err: fmt.Errorf("%s must be an object, not %s", what, kindOf(raw))}
	}
	return members{b: raw, i: skipSpace(raw, 1)}
}

// next goes to the next member; false at the end or after a failure.
func (m *members) next() bool {
	if m.err != nil || m.i >= len(m.b) || m.b[m.i] == '}' {
		return false
	}
	k := textEnd(m.b, m.i)
	m.key = m.b[m.i+1 : k-1]
	if bytes.IndexByte(m.key, '\\') >= 0 {
		s, _ := unquote(m.b[m.i:k])
		m.key = []byte(s)
	}
	for i, name := range m.needs {
		if string(m.key) == name {
			m.seen |= 1 << i
		}
	}
	v := skipSpace(m.b, skipSpace(m.b, k)+1) // past ':'
	e := end(m.b, v)
	m.value = m.b[v:e]
	if m.i = skipSpace(m.b, e); m.b[m.i] == ',' {
		m.i = skipSpace(m.b, m.i+1)
	}
	return true
}

func (m *members) fail(want string) {
	if m.err == nil {
		m.err = fmt.Errorf("'%s' must be %s, not %s", m.key, want, kindOf(m.value))
	}
}

func (m *members) null() bool { return m.value[0] == 'n' }

// text reads a string; null is "".
func (m *members) text() string {
	if m.value[0] != '"' {
		if !m.null() {
			m.fail("a string")
		}
		return ""
	}
	s, err := unquote(m.value)
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("'%s' %w", m.key, err)
	}
	return s
}

// textOrNil reads a string; null is nil.
func (m *members) textOrNil() *string {
	if m.null() {
		return nil
	}
	s := m.text()
	return &s
}

// flag reads a boolean; null is otherwise, and 0 and 1 are taken for the booleans that they are in Python.
func (m *members) flag(otherwise bool) bool {
	switch string(m.value) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	case "null":
		return otherwise
	}
	m.fail("a boolean")
	return otherwise
}

// integer reads a whole number; null is otherwise.
func (m *members) integer(otherwise int) int {
	if m.null() {
		return otherwise
	}
	n, err := strconv.Atoi(string(m.value))
	if err != nil {
		m.fail("an integer")
		return otherwise
	}
	return n
}

// integers reads an array of whole numbers; null is nil.
func (m *members) integers() []int {
	if m.null() {
		return nil
	}
	list := []int{}
	if err := json.Unmarshal(m.value, &list); err != nil {
		m.fail("a list of integers")
	}
	return list
}

// texts reads an array of strings; null is nil.
func (m *members) texts() []string {
	if m.null() {
		return nil
	}
	list := []string{}
	if err := json.Unmarshal(m.value, &list); err != nil {
		m.fail("a list of strings")
	}
	return list
}

// object copies the value, which must be an object; null is an empty one.
func (m *members) object() json.RawMessage {
	if m.value[0] != '{' {
		if !m.null() {
			m.fail("an object")
		}
		return json.RawMessage("{}")
	}
	return oneLine(m.value)
}

// elements calls f with each element of an array that check has passed.
func elements(raw []byte, f func(value []byte) error) error {
	for i := skipSpace(raw, 1); raw[i] != ']'; {
		e := end(raw, i)
		if err := f(raw[i:e]); err != nil {
			return err
		}
		if i = skipSpace(raw, e); raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return nil
}

func kindOf(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

var errSurrogate = errors.New("has half of a surrogate pair, which is no character")

// unquote reads a JSON string that check has passed. Half of a surrogate pair becomes U+FFFD and is reported.
func unquote(raw []byte) (string, error) {
	raw = raw[1 : len(raw)-1]
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return string(raw), nil
	}
	var s strings.Builder
	s.Grow(len(raw))
	var bad error
	for i >= 0 {
		s.Write(raw[:i])
		c := raw[i+1]
		raw = raw[i+2:]
		switch c {
		case 'b':
			s.WriteByte('\b')
		case 'f':
			s.WriteByte('\f')
		case 'n':
			s.WriteByte('\n')
		case 'r':
			s.WriteByte('\r')
		case 't':
			s.WriteByte('\t')
		case 'u':
			r, n := codePoint(raw)
			if raw = raw[n:]; r < 0 {
				r, bad = utf8.RuneError, errSurrogate
			}
			s.WriteRune(r)
		default: // '"', '\\', '/'
			s.WriteByte(c)
		}
		i = bytes.IndexByte(raw, '\\')
	}
	s.Write(raw)
	return s.String(), bad
}

// codePoint reads what follows `\u`, over a second escape where two make one character, and how many bytes that took;
// -1 if it is half of a pair.
func codePoint(raw []byte) (rune, int) {
	r := hex4(raw)
	switch {
	case r < 0xD800 || r > 0xDFFF:
		return r, 4
	case r < 0xDC00 && len(raw) >= 10 && raw[4] == '\\' && raw[5] == 'u':
		if low := hex4(raw[6:]); low >= 0xDC00 && low <= 0xDFFF {
			return 0x10000 + (r-0xD800)<<10 + (low - 0xDC00), 10
		}
	}
	return -1, 4
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		r = r<<4 + rune(hexValue(c))
	}
	return r
}
