package shell

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// picture is the text that a screen shows after p, fed in pieces of n bytes.
func picture(p string, n int) string {
	s := newScreen(defaultCols, defaultRows, defaultHistory)
	for len(p) > n {
		s.feed([]byte(p[:n]))
		p = p[n:]
	}
	s.feed([]byte(p))
	text, _ := s.appendNew(nil)
	return string(text)
}

func TestScreen(t *testing.T) {
	thousand := strings.Repeat("x", 1000)
	for _, c := range []struct{ name, in, out string }{
		{"plain", "hello\r\nworld\r\n", "hello\nworld"},
		{"line feed alone", "ab\ncd", "ab\n  cd"},
		{"colour", "\x1b[31mred\x1b[0m \x1b[1;38;5;208mx\x1b[m", "red x"},
		{"colour with colons", "\x1b[38:2::1:2:3mred\x1b[0m", "red"},
		{"tab", "a\tb\r\n12345678\tc", "a       b\n12345678        c"},
		{"tab at the end", "a\t\r\nb", "a\nb"},
		{"tab over text", "abcdefghij\r\tX", "abcdefghXj"},
		{"progress", "10%\r20%\r100%", "100%"},
		{"shorter progress", "loading...\rdone", "doneing..."},
		{"erased progress", "loading...\r\x1b[Kdone", "done"},
		{"backspace", "abc\b\bX", "aXc"},
		{"backspace at the edge", "\b\b\babc", "abc"},
		{"erased by backspace", "abc\b \b\b \b", "a"},
		{"trailing blanks", "a   \r\n   \r\n b  ", "a\n\n b"},
		{"wrapped", thousand + "yz", thousand + "yz"},
		{"full line", thousand + "\r\nyz", thousand + "\nyz"},
		{"wrapped twice", thousand + thousand + "a\r\nb", thousand + thousand + "a\nb"},
		{"wrapped with blanks", strings.Repeat(" ", 1000) + "a", strings.Repeat(" ", 1000) + "a"},
		{"bell and NUL", "a\x07b\x00c\x7f", "abc"},
		{"bad UTF-8", "a\xffb\xc3(\xe2\x82", "a\uFFFDb\uFFFD("},
		{"UTF-8", "äöü€😀x", "äöü€😀x"},
		{"C1 as UTF-8", "a\u0085b\u009bc", "abc"},
		{"wide", "日本\b\bX", "日X"},
		{"wide half overwritten", "日本\rX", "X 本"},
		{"wide at the edge", strings.Repeat("x", 999) + "日", strings.Repeat("x", 999) + "日"},
		{"combining", "e\u0301a", "e\u0301a"},
		{"combining first", "\u0301a", "a"},
		{"joined emoji", "👩\u200d💻!", "👩\u200d💻!"},
		{"title", "\x1b]0;title\x07text", "text"},
		{"title, ST", "\x1b]2;title\x1b\\text", "text"},
		{"hyperlink", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		{"DCS", "\x1bPq#0;2\x1b\\a", "a"},
		{"string cut by a sequence", "\x1b]0;t\x1b[31ma", "a"},
		{"unknown", "\x1b[?2004ha\x1b[>4;1mb\x1b=c\x1b(Bd\x1b#8e\x1b[1 qf\x1b[!pg", "abcdefg"},
		{"cancelled", "\x1b[31\x18a\x1b[3\x1ab", "ab"},
		{"control inside", "ab\x1b[\r1CX", "aX"},
		{"cursor", "abc\x1b[2DX\x1b[CY", "aXcY"},
		{"cursor up", "a\r\nb\r\n\x1b[2AX\x1b[BY", "X\nbY"},
		{"address", "\x1b[3;5Hx\x1b[1;1Hy", "y\n\n    x"},
		{"column", "abcdef\x1b[3GX\x1b[dY", "abXYef"},
		{"far away", "\x1b[9999;9999Hx\x1b[1;1H", strings.Repeat("\n", 999) + strings.Repeat(" ", 999) + "x"},
		{"erase below", "a\r\nb\r\nc\x1b[2;1H\x1b[J", "a"},
		{"erase above", "a\r\nb\r\ncde\x1b[2D\x1b[1J", "\n\n  e"},
		{"erase to the left", "abcdef\x1b[3D\x1b[1K", "    ef"},
		{"erase line", "abc\x1b[2Kd", "   d"},
		{"erase characters", "abcdef\r\x1b[2X", "  cdef"},
		{"delete characters", "abcdef\r\x1b[2P", "cdef"},
		{"insert characters", "abcdef\r\x1b[2@X", "X abcdef"},
		{"insert mode", "abc\r\x1b[4hXY\x1b[4lZ", "XYZbc"},
		{"insert lines", "a\r\nb\x1b[1;1H\x1b[Lx", "x\na\nb"},
		{"delete lines", "a\r\nb\r\nc\x1b[1;1H\x1b[M", "b\nc"},
		{"region", "a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nX", "a\nc\nX\nd"},
		{"region, up", "a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2;1H\x1bMX", "a\nX\nb\nd"},
		{"scroll up", "a\r\nb\x1b[2Sc", "a\nb\n\n c"},
		{"repeat", "ab\x1b[3b", "abbbb"},
		{"save and restore", "ab\x1b7cd\x1b8X", "abXd"},
		{"line drawing", "\x1b(0lqk\x1b(Bx\x0ea\x0f", "┌─┐xa"},
		{"shift out", "\x1b)0\x0eq\x0fq", "─q"},
		{"no wrap", "\x1b[?7l" + thousand + "y", thousand[:999] + "y"},
		{"clear", "before\r\n\x1b[H\x1b[2J\x1b[3Jafter", "after"},
		{"clear, history kept", "before\r\n\x1b[H\x1b[2Jafter", "before\nafter"},
		{"redraw from home", "one\r\n\x1b[H\x1b[Jtwo\r\n", "one\ntwo"},
		{"reset", "before\x1bcafter", "after"},
		{"alternate", "main\r\n\x1b[?1049h\x1b[Halt", "alt"},
		{"alternate left", "main\r\n\x1b[?1049h\x1b[Halt\x1b[?1049lback", "main\nback"},
		{"alternate scrolled", "\x1b[?1049h\x1b[H" + strings.Repeat("l\r\n", 999) + "m\r\nn", strings.Repeat("l\n", 998) + "m\nn"},
		{"old alternate", "main\x1b[?47halt\x1b[?47l!", "main   !"},
		{"ncurses start", "\x1b[?1049h\x1b[22;0;0t\x1b[1;5r\x1b(B\x1b[m\x1b[4l\x1b[?7h\x1b[H\x1b[2Jx\x1b[?1049l\x1b[23;0;0ty", "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1 << 20, 1, 2, 3, 7} {
				if got := picture(c.in, n); got != c.out {
					t.Fatalf("in pieces of %d: %q, want %q", n, got, c.out)
				}
			}
		})
	}
}

// Every answer shows what is new since the last.
func TestScreenTellsNews(t *testing.T) {
	s := newScreen(defaultCols, defaultRows, defaultHistory)
	for i, c := range []struct{ in, out string }{
		{"a\r\nb\r\n", "a\nb"},
		{"", ""},
		{"c\r\n", "\nc"},
		{"Name: ", "\nName:"},
		{"John\r\nHello\r\n", " John\nHello"},
		{"10%", "\n10%"},
		{"\r20%", "20%"},
		{"\r20%", ""},
		{"0", "0"},
		{"\r\n\r\nx", "\n\nx"},
		{"\x1b[1;1HX", "X\nb\nc\nName: John\nHello\n20%0\n\nx"}, // from the first line that has changed
		{"\x1b[1;1HX", ""},
		{"\x1b[?1049hfull", " full"},
		{"", ""},
		{" screen", " full screen"},
		{"\x1b[?1049l", ""},
		{"\x1b[9;1Hend", "\nend"},
	} {
		s.feed([]byte(c.in))
		text, _ := s.appendNew(nil)
		s.mark()
		if string(text) != c.out {
			t.Errorf("%d %q: %q, want %q", i, c.in, text, c.out)
		}
	}
}

func TestScreenSeesChange(t *testing.T) {
	s := newScreen(defaultCols, defaultRows, defaultHistory)
	for _, c := range []struct {
		in      string
		changed bool
	}{
		{"a", true}, {"\ra", false}, {"\x1b[31m\x07\x00", false}, {"\rb", true}, {"\r\n", false}, {"  ", false}, {"x", true}, {"\x1b[K", false},
		{"\r\x1b[K", true}, {"\x1b[K", false}, {"\x1b[?25l\x1b[?25h", false}, {"\x1b]0;t\x07", false},
	} {
		s.changed = false
		if s.feed([]byte(c.in)); s.changed != c.changed {
			t.Errorf("%q: changed is %t", c.in, s.changed)
		}
	}
}

func TestScreenAnswers(t *testing.T) {
	var got []byte
	s := newScreen(defaultCols, defaultRows, defaultHistory)
	s.reply = func(p []byte) { got = append(got, p...) }
	s.feed([]byte("ab\r\ncd\x1b[6n\x1b[5n\x1b[c\x1b[>c"))
	if string(got) != "\x1b[2;3R\x1b[0n\x1b[?62;22c\x1b[>41;354;0c" {
		t.Errorf("%q", got)
	}
}

// However much is printed, memory stays bounded, and what is kept is the end.
func TestScreenIsBounded(t *testing.T) {
	for name, line := range map[string]string{"ascii": strings.Repeat("x", 100), "wide": strings.Repeat("é", 100), "no newline": ""} {
		t.Run(name, func(t *testing.T) {
			s := newScreen(defaultCols, defaultRows, defaultHistory)
			var before, after runtime.MemStats
			piece := func(i int) []byte {
				if line == "" {
					return bytes.Repeat([]byte{'y'}, 1000)
				}
				return fmt.Appendf(nil, "%d %s\r\n", i, line)
			}
			for i := range 20000 {
				s.feed(piece(i))
			}
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range 20000 {
				s.feed(piece(i))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
				t.Errorf("grown by %d bytes", grown)
			}
			text, lines := s.appendNew(nil)
			if line != "" && (lines != defaultHistory-1 || !bytes.HasSuffix(text, []byte("19999 "+line))) {
				t.Errorf("%d lines, %.20q", lines, text)
			}
			if !s.lost {
				t.Error("nothing is lost")
			}
			s.reset()
			if text, _ := s.appendNew(nil); len(text) > 0 || s.lost {
				t.Errorf("after reset: %.20q", text)
			}
		})
	}
}

// FuzzScreen feeds arbitrary bytes in arbitrary pieces: the picture must not depend on the pieces, must be valid
// UTF-8 without control characters, and nothing may break.
func FuzzScreen(f *testing.F) {
	for _, seed := range []string{
		"hello\r\nworld", "\x1b[31mred\x1b[0m", "\x1b[?1049h\x1b[2J\x1b[5;5Hx\x1b[?1049l", "\x1b[2;10r\n\n\x1bM\x1b[5L\x1b[3M", "日本\b\x1b[3P\x1b[2@\xff\xe2",
		"\x1b[9999b\x1b[99999999S\x1b[9T", "\x1b7\x1b[H\x1b[J\x1b8\x1b[3J\x1bc", "e\u0301\x1b[4hxx\r日", "0\xcc\x81\xe2\x82\xcc0", "日e\u0301f\u0301\r\x1b[1@\x1b[3G\x1b[P", strings.Repeat("x", 2100) + "\x1b[A\x1b[KY",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, n uint8) {
		a, b := newScreen(20, 6, 15), newScreen(20, 6, 15)
		a.feed(p)
		for q := p; len(q) > 0; {
			k := min(int(n)+1, len(q))
			b.feed(q[:k])
			q = q[k:]
		}
		x, _ := a.appendNew(nil)
		y, _ := b.appendNew(nil)
		if !bytes.Equal(x, y) {
			t.Fatalf("%q in pieces of %d: %q", x, n+1, y)
		}
		if !utf8.Valid(x) || bytes.ContainsFunc(x, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Fatalf("%q", x)
		}
		if a.main.count > 15 || a.alt.count > 6 || a.x > 20 || a.y > 5 || a.y < 0 || a.x < 0 {
			t.Fatal("out of bounds")
		}
		a.mark()
		if x, _ = a.appendNew(nil); len(bytes.TrimSpace(x)) > 0 {
			t.Fatalf("after mark: %q", x)
		}
		a.feed(p)
		a.mark()
		a.reset()
		if x, _ = a.appendNew(nil); len(x) > 0 {
			t.Fatalf("after reset: %q", x)
		}
	})
}

func BenchmarkScreen(b *testing.B) {
	for name, line := range map[string]string{
		"short": "12345\r\n", "log": "2024-01-01T00:00:00Z INFO something happened in module xyz: ok\r\n",
		"colour": "\x1b[32mPASS\x1b[0m \x1b[1mtest_something\x1b[0m \x1b[90m(0.01s)\x1b[39m\r\n", "utf8": "Überprüfung läuft: größer ✓\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			p := bytes.Repeat([]byte(line), 4096/len(line))
			s := newScreen(defaultCols, defaultRows, defaultHistory)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				s.feed(p)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, unit := range []string{"a", "é", "日", "😀"} {
		for _, n := range []int{0, 1, maxContent - 1, maxContent} {
			if text := strings.Repeat(unit, n); truncate([]byte(text)) != text {
				t.Errorf("%d of %s are cut", n, unit)
			}
		}
		half := strings.Repeat(unit, maxContent/2)
		if got := truncate([]byte(half + "x" + half)); got != half+cut+half {
			t.Errorf("%s: %d bytes", unit, len(got))
		}
	}
}
