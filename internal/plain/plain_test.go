package plain

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü\t": "plain ü\t", "\x1b[2J": "^[[2J", "a\r\nb": "a\nb", "bell\x07": "bell^G", "\u009b1m\x7f": "\\x9b1m\\x7f",
		"a\u202eb": "a\\u202eb", "\u2066": "\\u2066", "\u061c": "\\u061c", "\xff": "\xff",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		" a\r\n\tb  c ": "a b c", "abcdefgh": "abcd…", "": "", "\x1b": "^[",
	} {
		if got := Line(in, 5); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	got := strings.Join(Wrap("one two\nthree fourandtwenty \x1b five", 100, 8), "|")
	if got != "one two|three|fourandtwenty|^[ five" {
		t.Error(got)
	}
	if got := Wrap("", 10, 5); len(got) != 1 || got[0] != "" {
		t.Errorf("%q", got)
	}
}

func TestTable(t *testing.T) {
	tab := Table{Left: 1}
	tab.Row(Cell{Text: "NAME"}, Cell{Text: "P50"}, Cell{Text: "P99"})
	tab.Row(Cell{Text: "über"}, Cell{Text: "1.5 ms", Style: Red}, Cell{})
	tab.Line(Cell{Text: "a line that is longer than any column"})
	tab.Row()
	tab.Row(Cell{Text: "x"}, Cell{}, Cell{Text: "2 s"})
	want := "NAME     P50  P99\nüber  1.5 ms\na line that is longer than any column\n\nx             2 s\n"
	if got := written(t, &tab); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	tab.Colour = true
	if got := written(t, &tab); !strings.Contains(got, "  \x1b[31m1.5 ms\x1b[0m\n") {
		t.Errorf("%q", got)
	}
}

func written(t *testing.T, tab *Table) string {
	t.Helper()
	var b strings.Builder
	if n, err := tab.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatal(n, err, b.Len())
	}
	return b.String()
}
