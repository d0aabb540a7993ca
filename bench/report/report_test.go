package report

import (
	"encoding/json"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/sandtree/sandtree/bench/result"
)

func text(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func inTerminal(t *testing.T, r *result.Report, colour bool) string {
	return text(t, func(w io.Writer) error { return Terminal(w, r, colour) })
}

func inMarkdown(t *testing.T, r *result.Report) string {
	return text(t, func(w io.Writer) error { return Markdown(w, r) })
}

func inHTML(t *testing.T, r *result.Report) string {
	return text(t, func(w io.Writer) error { return HTML(w, r) })
}

func TestTerminal(t *testing.T) {
	got := inTerminal(t, sample(), false)
	for _, want := range []string{
		"disturbed: another process took 18 % of the CPU during latency-echo",
		"latency-exec                ", "1.29×", "missed: p50 < 20ms (sandtree), found 24.4 ms", "not supported: the target keeps no snapshots",
		"ended early: dial unix", "errors 0, served 31,200", "1 of 13 targets missed", "pipe round trip", "trust the ratios",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(line) - 1; n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("colour that nobody asked for")
	}
	plain := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(inTerminal(t, sample(), true), "")
	if plain != got {
		t.Error("colour moves columns")
	}
}

func TestPercentilesThatAFewSamplesCannotTell(t *testing.T) {
	x := result.Series{Unit: "1", Rounds: [][]float64{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}}
	x.Summary = result.Summarize(x.Rounds)
	if got := strings.Join(percentiles(x), " "); got != "5 9.01 – – 10" {
		t.Error(got)
	}
}

func TestMarkdown(t *testing.T) {
	got := inMarkdown(t, sample())
	columns := 0
	for line := range strings.Lines(got) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d cells of %d: %s", n, columns, line)
		}
	}
	for _, want := range []string{"❌ **1 of 13 targets missed**", "**startup-cold** missed p50 &#60; 20ms (sandtree): found 24.4 ms", "⚠️ **Disturbed:**", "✅ 2/2, lost 0, repeated 0"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// hostile is what a peer may say.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title></style></svg><script>x`, `'; background:url(http://evil/)`, `{{.Report}}`, `&lt;b&gt;`,
	"\x1b[2J\x1b]0;owned\x07", "a | b\n| c", "`code` *bold* [link](http://evil) @somebody #1 <b>", "a\u202ebc", "\xff\xfe", "javascript:alert(1)", strings.Repeat("long ", 4000), "",
	"]]>-->", "\x00", "\u2028\u2029",
}

// small is the sample with a few samples of each series, as JSON.
func small(t testing.TB) []byte {
	t.Helper()
	r := sample()
	for i := range r.Scenarios {
		r.Scenarios[i].Timeline = r.Scenarios[i].Timeline[:min(3, len(r.Scenarios[i].Timeline))]
		for j, x := range r.Scenarios[i].Series {
			for k, round := range x.Rounds {
				r.Scenarios[i].Series[j].Rounds[k] = round[:min(70, len(round))]
			}
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// poisoned puts one string wherever a report has one.
func poisoned(t testing.TB, clean []byte, s string) *result.Report {
	t.Helper()
	var tree any
	if err := json.Unmarshal(clean, &tree); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(poison(tree, s))
	if err != nil {
		t.Fatal(err)
	}
	var bad result.Report
	if err := json.Unmarshal(b, &bad); err != nil {
		t.Fatal(err)
	}
	return &bad
}

func poison(v any, s string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k == "began" {
				continue
			}
			v[k] = poison(x, s)
			if k == "settings" || k == "counts" || k == "figures" {
				for inner, y := range v[k].(map[string]any) {
					delete(v[k].(map[string]any), inner)
					v[k].(map[string]any)[s] = y
				}
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = poison(v[i], s)
		}
		return v
	case string:
		return s
	}
	return v
}

// tags are those that a page of ours has.
var tags = regexp.MustCompile(`^/?(a|abbr|article|b|body|circle|code|dd|desc|details|div|dl|dt|figcaption|figure|footer|h1|h2|h3|head|header|html|li|line|main|meta|p|path|rect|section|span|strong|style|summary|svg|table|tbody|td|text|th|thead|title|tr|ul)\b`)

func harmless(t *testing.T, r *result.Report) {
	t.Helper()
	page := inHTML(t, r)
	for i, part := range strings.Split(page, "<")[1:] {
		if i > 0 && !tags.MatchString(part) {
			t.Errorf("a tag that is not ours: <%.40s", part)
		}
	}
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		tag := z.Token()
		if tag.Type != html.StartTagToken && tag.Type != html.SelfClosingTagToken {
			continue
		}
		if slices.Contains([]string{"script", "img", "iframe", "object", "embed", "link", "base", "form"}, tag.Data) {
			t.Errorf("<%s> in the page", tag.Data)
		}
		for _, a := range tag.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || strings.HasSuffix(a.Key, "href") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s %s=%.40q> in the page", tag.Data, a.Key, a.Val)
			}
		}
	}
	if out := inTerminal(t, r, false); strings.ContainsAny(out, "\x1b\x07\x00\u202e\u009b") {
		t.Errorf("control characters at the terminal")
	}
	for line := range strings.Lines(inMarkdown(t, r)) {
		if strings.Contains(line, "<b>") || strings.Contains(line, "<script") || strings.Contains(line, "](") || strings.Contains(line, "@somebody") {
			t.Errorf("markup in Markdown: %.100s", line)
		}
	}
}

func TestTextsAreNotTrusted(t *testing.T) {
	clean := small(t)
	for _, s := range hostile {
		harmless(t, poisoned(t, clean, s))
	}
}

func FuzzTexts(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &result.Report{Name: s, Target: result.Target{Name: s}, Disturbed: []string{s}, Scenarios: []result.Scenario{{Name: s, Kind: s, Title: s, Failed: s,
			Series: []result.Series{{Name: s, Unit: s, Rounds: [][]float64{{1, 2, 3}}}}, Phases: []result.Phase{{Name: s, Median: 1}}, Counts: map[string]int64{s: 1},
			Timeline: []result.Point{{Figures: map[string]float64{s: 1}}, {At: 1}}, Verdicts: []result.Verdict{{Rule: s, Unit: s, Source: s}}}}}
		r.Scenarios[0].Series[0].Summary = result.Summarize(r.Scenarios[0].Series[0].Rounds)
		harmless(t, r)
	})
}

// TestOddReports writes what no run should make and a file may hold.
func TestOddReports(t *testing.T) {
	series := func(rounds ...[]float64) []result.Series {
		return []result.Series{{Name: "x", Unit: "ns", Rounds: rounds, Summary: result.Summarize(rounds), Ratio: 1}}
	}
	same := make([]float64, 200)
	big := []float64{math.MaxFloat64, 1, math.SmallestNonzeroFloat64, 0}
	lone := append(make([]float64, 99), 1e300)
	for name, all := range map[string][]result.Series{
		"none": nil, "no rounds": series(), "empty rounds": series(nil, []float64{}), "zeros": series(same), "big": series(big, big), "lone": series(lone),
		"negative": series([]float64{-1, -2, -3}), "lies": {{Name: "x", Unit: "ns", Summary: result.Summary{Count: 1000}}},
	} {
		for _, points := range [][]result.Point{nil, {{At: -5, Figures: map[string]float64{"x": -1}}, {At: math.MaxInt64, Figures: nil}}} {
			r := &result.Report{Scenarios: []result.Scenario{{Series: all, Timeline: points, Phases: []result.Phase{{Name: "a", Median: -5}, {Name: "b", Median: math.MaxInt64}}}}, Floors: all}
			if page := inHTML(t, r); strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
				t.Errorf("%s: not a number in the page", name)
			}
			inTerminal(t, r, true)
			inMarkdown(t, r)
		}
	}
	harmless(t, &result.Report{})
}
