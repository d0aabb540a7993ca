package kernel

import (
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\n":                     "a\nb\n",
		"a\r\nb":                     "a\nb",
		"10%\r20%\r100%\ndone":       "100%\ndone",
		"long line\rshort":           "shortline",
		"long line\r\x1b[Kshort":     "short",
		"abc\x1b[2Kd":                "   d",
		"abc\r\x1b[1Kd":              "dbc",
		"abc\b\bX":                   "aXc",
		"\b\ba":                      "a",
		"\x1b[1;38;5;9mred\x1b[0m.":  "red.",
		"\x1b]0;title\aa":            "a",
		"\x1b]8;;http://x\x1b\\a":    "a",
		"\x1b(Ba":                    "Ba",
		"größer\rGR":                 "GRößer",
		"tail \x1b[":                 "tail ",
		strings.Repeat("x", maxLine): strings.Repeat("x", maxLine),
	} {
		var p page
		p.write(in)
		if got := p.text(); got != want {
			t.Errorf("%.40q gives %.80q, want %.80q", in, got, want)
		}
	}
}

func TestPageIsBounded(t *testing.T) {
	var p page
	chunk := strings.Repeat("0123456789ü", 1000)
	for range 1200 { // 14 MB
		p.write(chunk)
		p.write("\r\n")
	}
	p.write("the end")
	if held := cap(p.lines.head) + cap(p.lines.tail) + 4*cap(p.line); held > 8*keptHalf {
		t.Errorf("%d bytes are held", held)
	}
	got := p.text()
	if len(got) > 3*keptHalf+100 || !strings.HasPrefix(got, "0123456789ü0") || !strings.HasSuffix(got, "ü\nthe end") ||
		!strings.Contains(got, " bytes of output were left out here …]") || strings.ToValidUTF8(got, "") != got {
		t.Errorf("%d bytes, from %.20q to %q", len(got), got, got[len(got)-20:])
	}
	p.clear()
	if p.text() != "" {
		t.Error(p.text())
	}
}
