package kernel

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// What a kernel sends is bounded in bytes, but many small members take ten times the memory of their text once decoded.
// These types refuse what no kernel means.

const (
	maxListed = 100_000 // elements of a list: lines of a traceback, and strings that make a text
	maxTypes  = 256     // forms of one value
)

// few is a list of JSON, of at most maxListed elements.
type few[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (f *few[T]) UnmarshalJSON(b []byte) error {
	if n := members(b); n > maxListed {
		return fmt.Errorf("a list of %d elements", n)
	}
	return json.Unmarshal(b, (*[]T)(f))
}

// bundle is a value in several forms, by mime type.
type bundle map[string]json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (d *bundle) UnmarshalJSON(b []byte) error {
	if n := members(b); n > maxTypes {
		return fmt.Errorf("a value in %d forms", n)
	}
	return json.Unmarshal(b, (*map[string]json.RawMessage)(d))
}

// members is how many members the outermost list or object has, or one more if it is empty. b is valid JSON, or the number
// means nothing.
func members(b []byte) int {
	n, depth := 1, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = afterString(b, i+1) - 1
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				n++
			}
		}
	}
	return n
}

// afterString gives the index after the quote that ends the string which goes on at i.
func afterString(b []byte, i int) int {
	for i < len(b) {
		at := bytes.IndexByte(b[i:], '"')
		if at < 0 {
			return len(b)
		}
		escapes := 0
		for j := i + at - 1; j >= i && b[j] == '\\'; j-- {
			escapes++
		}
		if i += at + 1; escapes%2 == 0 {
			return i
		}
	}
	return i
}
