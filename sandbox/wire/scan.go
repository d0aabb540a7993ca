package wire

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest; Python's own reader gives up at about as many.
const maxDepth = 1000

// check says whether b is one JSON value in UTF-8 and gives it without the space around it. What it has passed is walked
// with members and elements, which trust it.
func check(b []byte) ([]byte, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not JSON: it is not UTF-8")
	}
	s := scanner{b: b}
	s.space()
	from := s.i
	if err := s.value(0); err != nil {
		return nil, err
	}
	to := s.i
	if s.space(); s.i < len(b) {
		return nil, s.unexpected()
	}
	return b[from:to], nil
}

// A scanner checks JSON from b[i] on.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() { s.i = skipSpace(s.b, s.i) }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0 // no valid value has it, so it fails wherever the end does
}

func (s *scanner) unexpected() error {
	if s.i >= len(s.b) {
		return errors.New("not JSON: it ends early")
	}
	return fmt.Errorf("not JSON: unexpected %q at byte %d", s.b[s.i], s.i)
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '{' || c == '[':
		if depth == maxDepth {
			return fmt.Errorf("not JSON that we read: nested over %d deep", maxDepth)
		}
		return s.composite(c, depth+1)
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.number()
}

// composite passes an object or an array, whose first byte is open.
func (s *scanner) composite(open byte, depth int) error {
	end := open + 2 // '{' → '}', '[' → ']'
	s.i++
	if s.space(); s.peek() == end {
		s.i++
		return nil
	}
	for {
		if open == '{' {
			if err := s.key(); err != nil {
				return err
			}
		}
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case end:
			s.i++
			return nil
		case ',':
			s.i++
			s.space()
		default:
			return s.unexpected()
		}
	}
}

func (s *scanner) key() error {
	if s.peek() != '"' {
		return s.unexpected()
	}
	if err := s.text(); err != nil {
		return err
	}
	if s.space(); s.peek() != ':' {
		return s.unexpected()
	}
	s.i++
	s.space()
	return nil
}

func (s *scanner) text() error {
	s.i++
	for {
		s.i = verbatim(s.b, s.i, true)
		switch s.peek() {
		case '"':
			s.i++
			return nil
		case '\\':
			s.i++
			if err := s.escape(); err != nil {
				return err
			}
			s.i++
		default:
			return s.unexpected()
		}
	}
}

func (s *scanner) escape() error {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.i++
			if hexValue(s.peek()) < 0 {
				return s.unexpected()
			}
		}
		return nil
	}
	return s.unexpected()
}

func (s *scanner) word(w string) error {
	for j := range len(w) {
		if s.peek() != w[j] {
			return s.unexpected()
		}
		s.i++
	}
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return s.unexpected()
	}
	if s.peek() == '.' {
		if s.i++; !s.digits() {
			return s.unexpected()
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.unexpected()
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

// end gives the index after the value that begins at b[i], in JSON that check has passed.
func end(b []byte, i int) int {
	switch b[i] {
	case '"':
		return textEnd(b, i)
	case '{', '[':
		for depth := 0; ; i++ {
			switch b[i] {
			case '"':
				i = textEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

func textEnd(b []byte, i int) int {
	for i++; ; {
		q := i + bytes.IndexByte(b[i:], '"')
		n := 0 // backslashes before the quote: an even number leaves it one
		for b[q-1-n] == '\\' {
			n++
		}
		if i = q + 1; n%2 == 0 {
			return i
		}
	}
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
