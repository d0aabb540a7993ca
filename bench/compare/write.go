package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/internal/plain"
)

const (
	nameWidth = 40 // characters of a scenario and its series
	lineWidth = 98 // of a sentence
)

// Terminal writes a table that reads at 100 columns.
func (c *Comparison) Terminal(w io.Writer, colour bool) error {
	t := plain.Table{Left: 1, Colour: colour}
	t.Line(plain.Cell{Text: plain.Line(c.title(), lineWidth), Style: plain.Bold})
	for _, n := range c.Notes {
		sentence(&t, "note: "+n, plain.Yellow)
	}
	t.Row()
	t.Row(dim("scenario"), dim("before"), dim("after"), dim("change"), dim("p"), dim("noise"), dim(""))
	for _, r := range c.Rows {
		style := map[Verdict]plain.Style{Worse: plain.Red, Better: plain.Green}[r.Verdict]
		t.Row(plain.Cell{Text: plain.Line(r.name(), nameWidth)}, plain.Cell{Text: r.Before.text(r.Unit)}, plain.Cell{Text: r.After.text(r.Unit)},
			plain.Cell{Text: r.change(), Style: style}, dim(r.chance()), dim(fmt.Sprintf("%.0f %%", 100*r.Noise)), plain.Cell{Text: string(r.Verdict), Style: style})
	}
	t.Row()
	for _, b := range c.Broken {
		sentence(&t, "broken: "+b, plain.Red)
	}
	for _, g := range c.Geomeans {
		t.Line(plain.Cell{Text: plain.Line(g.text(), lineWidth), Style: plain.Dim})
	}
	style := plain.Green
	if c.Failed() {
		style = plain.Red
	}
	t.Line(plain.Cell{Text: plain.Line(c.verdict(), lineWidth), Style: style})
	_, err := t.WriteTo(w)
	return err
}

// sentence writes a text of a report below the table, in as many lines as it needs.
func sentence(t *plain.Table, s string, style plain.Style) {
	for i, line := range plain.Wrap(s, 4*lineWidth, lineWidth-2) {
		if i > 0 {
			line = "  " + line
		}
		t.Line(plain.Cell{Text: line, Style: style})
	}
}

func dim(s string) plain.Cell { return plain.Cell{Text: s, Style: plain.Dim} }

// Markdown writes a table for a pull request: what changed, and below a fold what did not.
func (c *Comparison) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s\n\n", plain.Markdown(c.title()))
	mark := "✅"
	if c.Failed() {
		mark = "❌"
	}
	fmt.Fprintf(&b, "%s **%s**\n\n", mark, plain.Markdown(c.verdict()))
	for _, x := range c.Broken {
		fmt.Fprintf(&b, "- **broken:** %s\n", plain.Markdown(x))
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "- %s\n", plain.Markdown(n))
	}
	b.WriteString("\n")
	var changed, rest []Row
	for _, r := range c.Rows {
		if r.Verdict == Better || r.Verdict == Worse {
			changed = append(changed, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(changed) > 0 {
		mdRows(&b, changed)
	}
	if len(rest) > 0 {
		fmt.Fprintf(&b, "<details><summary>%d without a change that counts</summary>\n\n", len(rest))
		mdRows(&b, rest)
		b.WriteString("</details>\n\n")
	}
	for _, g := range c.Geomeans {
		fmt.Fprintf(&b, "%s\n", plain.Markdown(g.text()))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func mdRows(b *bytes.Buffer, rows []Row) {
	b.WriteString("| scenario | before | after | change | p | noise | |\n|---|--:|--:|--:|--:|--:|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.0f %% | %s |\n", plain.Markdown(r.name()), plain.Markdown(r.Before.text(r.Unit)),
			plain.Markdown(r.After.text(r.Unit)), r.change(), r.chance(), 100*r.Noise, plain.Markdown(string(r.Verdict)))
	}
	b.WriteString("\n")
}

// JSON writes the whole, with what Failed says.
func (c *Comparison) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		*Comparison
		Failed bool `json:"failed"`
	}{c, c.Failed()})
}

func (c *Comparison) title() string {
	side := func(r Run) string {
		if commit := r.Commit; commit != "" {
			return r.Target + " at " + commit[:min(12, len(commit))]
		}
		return r.Target + " of " + r.Began
	}
	return side(c.Before) + " → " + side(c.After)
}

// verdict is the whole in a sentence.
func (c *Comparison) verdict() string {
	worse, better, beyond := 0, 0, 0
	for _, r := range c.Rows {
		switch r.Verdict {
		case Worse:
			worse++
		case Better:
			better++
		}
		if c.failed(r) {
			beyond++
		}
	}
	if len(c.Rows) == 0 {
		return "the runs have nothing in common"
	}
	if worse+better+len(c.Broken) == 0 {
		return fmt.Sprintf("no change in %d figures that is more than chance and noise", len(c.Rows))
	}
	s := fmt.Sprintf("of %d figures %d better, %d worse", len(c.Rows), better, worse)
	if c.Limit > 0 {
		s += fmt.Sprintf(", %d of them by more than %.4g %%", beyond, 100*c.Limit)
	}
	if n := len(c.Broken); n > 0 {
		s += fmt.Sprintf("; %d broken", n)
	}
	return s
}

func (r Row) name() string {
	s := r.Scenario
	if r.Series != "" && r.Series != "latency" && r.Series != "start" {
		s += ", " + r.Series
	}
	if r.Statistic != "p50" {
		s += " " + r.Statistic
	}
	return s
}

func (e Estimate) text(unit string) string {
	s := result.Figure(e.Center, unit)
	if e.Center > 0 {
		s += fmt.Sprintf(" ±%.0f %%", 100*max(e.High-e.Center, e.Center-e.Low)/e.Center)
	}
	return plain.Line(s, 18)
}

func (r Row) change() string {
	switch {
	case r.Verdict == Unsure && r.Before.Center == 0:
		return "?"
	case math.Abs(r.Delta) >= 2:
		return fmt.Sprintf("%.3g×", 1+r.Delta)
	}
	return fmt.Sprintf("%+.1f %%", 100*r.Delta)
}

func (r Row) chance() string {
	if r.Verdict == Unsure {
		return fmt.Sprintf("n=%d", min(r.Before.N, r.After.N))
	}
	if r.P < 0.001 {
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", r.P)
}

func (g Geomean) text() string {
	name := map[string]string{"ns": "times", "bytes": "sizes", "1/s": "rates", "ratio": "ratios to floors", "percent": "percentages", "1": "counts"}[g.Unit]
	if name == "" {
		name = g.Unit
	}
	return fmt.Sprintf("geometric mean of %d %s: %+.1f %%", g.N, name, 100*(g.Ratio-1))
}
