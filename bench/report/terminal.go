package report

import (
	"io"
	"strings"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/internal/plain"
)

const (
	nameWidth = 34  // characters of a series' name: what a hundred columns leave beside seven figures
	lineWidth = 98  // of a sentence below a table
	textWidth = 400 // of an error, which is broken into lines
)

// Terminal writes tables that read at 100 columns.
func Terminal(w io.Writer, r *result.Report, colour bool) error {
	t := &terminal{Table: plain.Table{Left: 1, Colour: colour}}
	t.head(r)
	for _, g := range grouped(r) {
		t.Row()
		t.header(g.Title, "p50", "p90", "p99", "p99.9", "max", "noise", "× floor")
		for _, s := range g.Scenarios {
			t.scenario(s)
		}
	}
	if len(r.Floors) > 0 {
		t.Row()
		t.header("Floors of the machine", "p50", "p90", "p99", "p99.9", "max", "noise", "")
		for _, f := range r.Floors {
			t.series(f.Name, f, "")
		}
	}
	t.Row()
	t.end(r)
	_, err := t.WriteTo(w)
	return err
}

type terminal struct{ plain.Table }

func (t *terminal) head(r *result.Report) {
	t.Line(plain.Cell{Text: plain.Line("Bench "+r.Name+" of "+r.Target.Name, lineWidth), Style: plain.Bold})
	for _, p := range about(r)[1:] {
		t.Line(plain.Cell{Text: plain.Line(p.Value, lineWidth), Style: plain.Dim})
	}
	for _, d := range r.Disturbed {
		t.text("disturbed: "+d, plain.Yellow)
	}
}

func (t *terminal) header(names ...string) {
	cells := make([]plain.Cell, len(names))
	for i, n := range names {
		cells[i] = plain.Cell{Text: plain.Line(n, nameWidth), Style: plain.Dim}
	}
	cells[0].Style = plain.Bold
	t.Row(cells...)
}

func (t *terminal) scenario(s result.Scenario) {
	if s.Unsupported != "" {
		t.Line(plain.Cell{Text: plain.Line(s.Name, nameWidth)})
		t.text("not supported: "+s.Unsupported, plain.Dim)
		return
	}
	if len(s.Series) == 0 {
		t.Line(plain.Cell{Text: plain.Line(s.Name, nameWidth)})
	}
	for i, x := range s.Series {
		name := s.Name
		if i > 0 {
			name = "  " + plain.Line(x.Name, nameWidth-2)
		}
		t.series(name, x, ratio(x))
	}
	if len(s.Counts) > 0 {
		var all []string
		for _, c := range counts(s.Counts) {
			all = append(all, c.Key+" "+c.Value)
		}
		t.text(strings.Join(all, ", "), plain.Dim)
	}
	for _, v := range s.Verdicts {
		if !v.Held {
			t.text("missed: "+v.Rule+source(v)+", found "+found(v), plain.Red)
		}
	}
	if s.Failed != "" {
		t.text("ended early: "+s.Failed, plain.Red)
	}
}

func (t *terminal) series(name string, x result.Series, ratio string) {
	cells := []plain.Cell{{Text: keepIndent(name)}}
	for _, v := range percentiles(x) {
		cells = append(cells, plain.Cell{Text: plain.Line(v, 14)})
	}
	cells[1].Style = plain.Bold
	t.Row(append(cells, plain.Cell{Text: noise(x), Style: plain.Dim}, plain.Cell{Text: ratio})...)
}

// keepIndent makes a name safe and short, and keeps the blanks before it.
func keepIndent(name string) string {
	trimmed := strings.TrimLeft(name, " ")
	indent := name[:len(name)-len(trimmed)]
	return indent + plain.Line(trimmed, nameWidth-len(indent))
}

// text is a sentence below a scenario, in lines.
func (t *terminal) text(s string, style plain.Style) {
	const indent = "  "
	for _, line := range plain.Wrap(s, textWidth, lineWidth-len(indent)) {
		t.Line(plain.Cell{Text: indent + line, Style: style})
	}
}

func (t *terminal) end(r *result.Report) {
	c := count(r)
	style := plain.Green
	if c.Missed > 0 {
		style = plain.Red
	}
	t.Line(plain.Cell{Text: c.String(), Style: style})
	if n := len(ended(r)); n > 0 {
		t.Line(plain.Cell{Text: result.Figure(float64(n), "1") + " of the scenarios ended early", Style: plain.Red})
	}
	if len(r.Disturbed) > 0 {
		t.Line(plain.Cell{Text: "the run was disturbed: trust the ratios to the floors more than the times", Style: plain.Yellow})
	}
}

func source(v result.Verdict) string {
	if v.Source == "" {
		return ""
	}
	return " (" + v.Source + ")"
}
