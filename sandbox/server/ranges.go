package server

import (
	"strconv"
	"strings"
)

// A span is a part of a file: n bytes from start on.
type span struct{ start, n int64 }

// The ways that a Range header can be meant.
type ranged int

const (
	wholeFile     ranged = iota // none, not understood, or several at once, which a server need not give
	partOfFile                  // one
	unsatisfiable               // beyond the end
)

// parseRange reads a Range header for a file of size bytes (RFC 9110, section 14.2).
func parseRange(header string, size int64) (span, ranged) {
	whole := span{0, size}
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return whole, wholeFile
	}
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok {
		return whole, wholeFile
	}
	if first == "" { // the last so many bytes
		n, ok := position(last)
		switch {
		case !ok || size == 0 && n > 0: // no range can name the nothing that there is
			return whole, wholeFile
		case n == 0:
			return whole, unsatisfiable
		}
		n = min(n, size)
		return span{size - n, n}, partOfFile
	}
	from, ok := position(first)
	if !ok {
		return whole, wholeFile
	}
	to := size - 1
	if last != "" {
		n, ok := position(last)
		if !ok || n < from {
			return whole, wholeFile
		}
		to = min(to, n)
	}
	if from >= size {
		return whole, unsatisfiable
	}
	return span{from, to - from + 1}, partOfFile
}

// position reads the digits of a position; one that no file reaches counts as the farthest.
func position(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}

// parseContentRange reads the Content-Range of a partial PUT (RFC 9110, section 14.5): "bytes 0-499/1234", or '*' for the total.
func parseContentRange(header string) (s span, ok bool) {
	unit, spec, _ := strings.Cut(header, " ")
	bounds, total, ok := strings.Cut(spec, "/")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return s, false
	}
	first, last, _ := strings.Cut(bounds, "-")
	from, ok1 := position(first)
	to, ok2 := position(last)
	if !ok1 || !ok2 || to < from || to-from == 1<<63-1 {
		return s, false
	}
	if total != "*" {
		if n, ok := position(total); !ok || n <= to {
			return s, false
		}
	}
	return span{from, to - from + 1}, true
}
