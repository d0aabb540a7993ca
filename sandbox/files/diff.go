package files

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxDiffSteps bounds the search for the smallest diff: a change with more differences than that in one stretch is
// shown as that stretch taken out and another put in, which is as true.
const maxDiffSteps = 1000

// diff is the unified diff of two texts without context lines, in the form of Python's difflib: both are split at
// "\n", so an empty text is one empty line; the lines of the diff have no blanks at their end, and the last no newline.
// It is empty for equal texts.
func diff(before, after, path string) string {
	if before == after {
		return ""
	}
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	var out strings.Builder
	line := func(sign, s string) {
		out.WriteByte('\n')
		out.WriteString(strings.TrimRightFunc(sign+s, unicode.IsSpace))
	}
	out.WriteString(strings.TrimRightFunc("--- "+path, unicode.IsSpace))
	line("+++ ", path)
	for _, h := range hunks(a, b) {
		line("", fmt.Sprintf("@@ -%s +%s @@", diffRange(h.a0, h.a1), diffRange(h.b0, h.b1)))
		for _, s := range a[h.a0:h.a1] {
			line("-", s)
		}
		for _, s := range b[h.b0:h.b1] {
			line("+", s)
		}
	}
	return out.String()
}

// diffRange writes lines from..to (from 0, exclusive) as a hunk's header does.
func diffRange(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

// A hunk replaces the lines a0..a1 of one text with b0..b1 of the other.
type hunk struct{ a0, a1, b0, b1 int }

// hunks are the differences of a and b, in order and not touching.
func hunks(a, b []string) []hunk {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	found := myers(a[head:len(a)-tail], b[head:len(b)-tail])
	for i := range found {
		h := &found[i]
		h.a0, h.a1, h.b0, h.b1 = h.a0+head, h.a1+head, h.b0+head, h.b1+head
	}
	return found
}

// myers finds the shortest edit script by the greedy algorithm of E. Myers (1986): furthest[d][k] is how far into a one
// comes on diagonal k (places where the index into a is k more than that into b) with d lines taken out or put in.
func myers(a, b []string) []hunk {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	whole := []hunk{{0, len(a), 0, len(b)}}
	if len(a) == 0 || len(b) == 0 {
		return whole
	}
	limit := min(len(a)+len(b), maxDiffSteps)
	now := make([]int, 2*limit+3) // diagonal k is at limit+1+k
	var furthest [][]int          // per d, what now held on diagonals -d-1..d+1 before that step
	for d := 0; d <= limit; d++ {
		furthest = append(furthest, append([]int(nil), now[limit-d:limit+d+3]...))
		for k := -d; k <= d; k += 2 {
			i := limit + 1 + k
			x := now[i-1] + 1 // a line of a taken out
			if k == -d || k != d && now[i-1] < now[i+1] {
				x = now[i+1] // a line of b put in
			}
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			if now[i] = x; x >= len(a) && y >= len(b) {
				return backtrack(furthest, len(a), len(b))
			}
		}
	}
	return whole
}

// backtrack walks from the end to the beginning through what myers recorded, and joins steps that touch into hunks.
func backtrack(furthest [][]int, x, y int) []hunk {
	var out []hunk
	for d := len(furthest) - 1; d > 0; d-- {
		before := furthest[d] // diagonal k is at d+1+k
		k := x - y
		fromK := k - 1
		if k == -d || k != d && before[d+k] < before[d+2+k] {
			fromK = k + 1
		}
		px := before[d+1+fromK]
		py := px - fromK
		step := hunk{px, px + 1, py, py}
		if fromK > k {
			step = hunk{px, px, py, py + 1}
		}
		if n := len(out); n > 0 && out[n-1].a0 == step.a1 && out[n-1].b0 == step.b1 {
			out[n-1].a0, out[n-1].b0 = step.a0, step.b0
		} else {
			out = append(out, step)
		}
		x, y = px, py
	}
	slices.Reverse(out)
	return out
}
