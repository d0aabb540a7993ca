package files

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "New file content", "@@ -1 +1 @@\n-\n+New file content"},
		{"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b"},
		{"a\nb\nc", "a\nX\nc", "@@ -2 +2 @@\n-b\n+X"},
		{"a\nb", "a\nb\nc", "@@ -2,0 +3 @@\n+c"},
		{"a\nb\nc\n", "a\n", "@@ -2,2 +1,0 @@\n-b\n-c"},
		{"a  \n", "b \t\n", "@@ -1 +1 @@\n-a\n+b"},
		{"1\n2\n3\n4\n5\n", "1\nx\n3\n4\ny\n5\n", "@@ -2 +2 @@\n-2\n+x\n@@ -4,0 +5 @@\n+y"},
	} {
		if got, want := diff(c.before, c.after, "P"), "--- P\n+++ P\n"+c.want; got != want {
			t.Errorf("%q to %q:\n%s\nwant:\n%s", c.before, c.after, got, want)
		}
	}
	if got := diff("same", "same", "P"); got != "" {
		t.Errorf("equal texts differ: %q", got)
	}
}

// apply makes b out of a by hunks, and fails if they do not fit.
func apply(a []string, hs []hunk, b []string) ([]string, error) {
	var out []string
	at := 0
	for _, h := range hs {
		if h.a0 < at || h.a1 < h.a0 || h.a1 > len(a) || h.b1 > len(b) {
			return nil, fmt.Errorf("hunk %+v after line %d", h, at)
		}
		out = append(append(out, a[at:h.a0]...), b[h.b0:h.b1]...)
		at = h.a1
	}
	return append(out, a[at:]...), nil
}

func TestHunksFitAndAreSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n, letters int) []string {
		s := make([]string, r.IntN(n))
		for i := range s {
			s[i] = string(rune('a' + r.IntN(letters)))
		}
		return s
	}
	for range 1000 {
		a, b := random(12, 3), random(12, 3)
		hs := hunks(a, b)
		got, err := apply(a, hs, b)
		if err != nil || !slices.Equal(got, b) {
			t.Fatalf("%v to %v: %v gives %v, %v", a, b, hs, got, err)
		}
		size := 0
		for _, h := range hs {
			size += h.a1 - h.a0 + h.b1 - h.b0
		}
		if want := len(a) + len(b) - 2*common(a, b); size != want {
			t.Fatalf("%v to %v: %d lines differ in %v, %d would do", a, b, size, hs, want)
		}
	}
	a, b := random(9000, 3), random(9000, 3) // more than is searched for
	if got, err := apply(a, hunks(a, b), b); err != nil || !slices.Equal(got, b) {
		t.Errorf("a large change does not fit: %v", err)
	}
}

// common is the length of the longest common subsequence, the slow way.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if row[j+1] = max(above, row[j]); x == y {
				row[j+1] = diagonal + 1
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func BenchmarkDiffOneLineOf10MB(b *testing.B) {
	before := strings.Repeat("a line of forty bytes, more or less ....\n", 250_000)
	after := before[:5_000_000] + "x" + before[5_000_000:]
	b.SetBytes(int64(len(before)))
	for b.Loop() {
		diff(before, after, "P")
	}
}
