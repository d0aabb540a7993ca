package wire

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// timeout reads seconds; null and 0 are none. What is too long for a Duration becomes the longest one, and what is too
// short to count becomes a nanosecond, since 0 would mean for ever. What no double holds, such as 1e400, is a mistake.
func (m *members) timeout() time.Duration {
	if m.null() {
		return 0
	}
	if d, ok := decimal(m.value); ok {
		return d
	}
	f, err := strconv.ParseFloat(string(m.value), 64)
	switch {
	case math.IsInf(f, 0) && m.err == nil:
		m.err = fmt.Errorf("'%s' must be a number of seconds up to 1.8e308, not %.20s: leave it out to wait for as long as it takes", m.key, m.value)
		return 0
	case err != nil:
		m.fail("a number of seconds")
		return 0
	}
	switch ns := f * 1e9; {
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	case ns > -1 && ns < 0:
		return -1
	case ns > 0 && ns < 1:
		return 1
	default:
		return time.Duration(math.Round(ns))
	}
}

// decimal reads the numbers that appendTimeout writes, exactly: up to ten digits before the point and nine after it,
// which fit a uint64.
func decimal(b []byte) (d time.Duration, ok bool) {
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	var n uint64 // nanoseconds, in the end
	digits, places := 0, -1
	for _, c := range b {
		switch {
		case c == '.':
			places = 0
			continue
		case c < '0' || c > '9':
			return 0, false
		case places >= 0:
			places++
		default:
			digits++
		}
		if digits > 10 || places > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	for range 9 - max(places, 0) {
		n *= 10
	}
	switch {
	case negative && n > 1<<63:
		return math.MinInt64, true
	case negative:
		return time.Duration(-n), true
	case n > math.MaxInt64:
		return math.MaxInt64, true
	}
	return time.Duration(n), true
}

// appendTimeout writes seconds as Python writes a float: 10.0, 2.5.
func appendTimeout(dst []byte, d time.Duration) []byte {
	n := uint64(d)
	if d < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendUint(dst, n/1e9, 10)
	dst = append(dst, '.')
	fraction := n % 1e9
	if fraction == 0 {
		return append(dst, '0')
	}
	var nine [9]byte
	last := 0
	for i := 8; i >= 0; i-- {
		nine[i] = byte('0' + fraction%10)
		if fraction /= 10; nine[i] != '0' && last == 0 {
			last = i + 1
		}
	}
	return append(dst, nine[:last]...)
}
