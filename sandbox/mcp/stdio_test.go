package mcp

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func TestPauseGrowsWithinBounds(t *testing.T) {
	for ends, want := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause} {
		if least, most := pauseAfter(ends, 0), pauseAfter(ends, 1); least != want/2 || most != want {
			t.Errorf("after %d: %v to %v, want half of %v to all", ends, least, most, want)
		}
	}
	for _, ends := range []int{9, 10, 63, 64, 1 << 30} {
		if got := pauseAfter(ends, 1); got != maxPause {
			t.Errorf("after %d: %v", ends, got)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	x := newTail(5)
	for _, c := range []struct{ in, want string }{{"ab", "ab"}, {"cd", "abcd"}, {"ef", "bcdef"}, {"0123456", "23456"}, {"", "23456"}, {"\xff\n", "456\ufffd"}} {
		if n, err := x.Write([]byte(c.in)); n != len(c.in) || err != nil || x.text() != c.want {
			t.Errorf("after %q: %q, want %q", c.in, x.text(), c.want)
		}
	}
}

// FuzzLines: whatever a program prints is messages, or is passed over, or ends the connection.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n"))
	f.Add([]byte("junk\n[{\"jsonrpc\":\"2.0\",\"method\":\"x\"},{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}]\nlast"))
	f.Add([]byte(strings.Repeat("x", 5000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		r := bufio.NewReaderSize(bytes.NewReader(b), 16)
		for {
			line, err := readLine(r, limit)
			if errors.Is(err, errLongLine) || err != nil {
				return
			}
			if len(line) > limit || bytes.ContainsRune(line, '\n') {
				t.Fatalf("a line of %d bytes", len(line))
			}
			for _, m := range decode(line) {
				if _, err := jsonrpc.EncodeMessage(m); err != nil {
					t.Errorf("a message that cannot be sent on: %v", err)
				}
			}
		}
	})
}
