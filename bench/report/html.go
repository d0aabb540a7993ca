package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/sandtree/sandtree/bench/result"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// page is parsed once, at the first report. Everything that is not ours goes through html/template's escaping, and what is drawn
// through that of canvas.
var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// A page is what the template shows.
type page struct {
	Report    *result.Report
	Style     template.CSS
	Policy    string
	Title     string
	Summary   string
	Well      bool
	About     []pair
	Overview  []line
	Plots     []plot
	Groups    []section
	Floors    table
	Ended     int
	Disturbed []string
}

// A line is a scenario in the overview.
type line struct {
	Anchor, Name, Title, Figure, What, Tail, Noise, Ratio, Targets string
	State                                                          string // "held", "missed", "none"
}

type section struct {
	Title     string
	Scenarios []chapter
}

// A chapter is all about one scenario.
type chapter struct {
	result.Scenario
	Anchor   string
	Settings []pair
	Counts   []pair
	Verdicts []verdict
	Figures  table
	Plots    []plot
}

type verdict struct {
	result.Verdict
	Figure string
}

type table struct {
	Columns []string
	Rows    [][]string
}

// HTML writes one page with everything in it: no script, no font, no picture from elsewhere, and a policy that has the browser
// refuse them. It follows the scheme of whoever looks at it, light or dark, and prints.
func HTML(w io.Writer, r *result.Report) error {
	hash := sha256.Sum256([]byte(pageCSS))
	c := count(r)
	p := page{
		Report: r, Style: template.CSS(pageCSS), Title: "Bench " + r.Name + " of " + r.Target.Name, Summary: c.String(),
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'",
		About:  about(r), Ended: len(ended(r)), Disturbed: r.Disturbed, Well: c.Missed == 0 && len(ended(r)) == 0,
		Floors: figuresOf(r.Floors, false),
	}
	for _, draw := range []func(*result.Report) []plot{ratios, phases, memory} {
		p.Plots = append(p.Plots, draw(r)...)
	}
	for _, g := range grouped(r) {
		s := section{Title: g.Title}
		for _, x := range g.Scenarios {
			anchor := fmt.Sprintf("s%d", len(p.Overview)+1)
			p.Overview = append(p.Overview, lineOf(anchor, x))
			s.Scenarios = append(s.Scenarios, chapterOf(anchor, x, r.Floors))
		}
		p.Groups = append(p.Groups, s)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func lineOf(anchor string, s result.Scenario) line {
	l := line{Anchor: anchor, Name: s.Name, Title: s.Title, Figure: "–", Tail: "–", Noise: "–", Ratio: "–", Targets: "–", State: "none"}
	if len(s.Series) > 0 {
		x := s.Series[0]
		all := percentiles(x)
		l.What, l.Figure, l.Tail, l.Noise, l.Ratio = x.Name, all[0], all[2], noise(x), ratio(x)
	}
	var t tally
	t.add(s.Verdicts)
	if n := t.Held + t.Missed; n > 0 {
		l.Targets, l.State = fmt.Sprintf("%d of %d held", t.Held, n), "held"
	}
	switch {
	case s.Failed != "":
		l.Targets, l.State = "ended early", "missed"
	case s.Unsupported != "":
		l.Targets = "not supported"
	case t.Missed > 0:
		l.Targets, l.State = fmt.Sprintf("%d of %d missed", t.Missed, t.Held+t.Missed), "missed"
	}
	return l
}

func chapterOf(anchor string, s result.Scenario, floors []result.Series) chapter {
	c := chapter{Scenario: s, Anchor: anchor, Settings: pairs(s.Settings), Counts: counts(s.Counts), Figures: figuresOf(s.Series, true)}
	for _, v := range s.Verdicts {
		c.Verdicts = append(c.Verdicts, verdict{v, found(v)})
	}
	c.Plots = plotsOf(anchor, s, floors)
	return c
}

// figuresOf is a table of series, with their ratios if those say something.
func figuresOf(all []result.Series, compared bool) table {
	t := table{Columns: []string{"", "samples", "mean", "min", "p50", "p90", "p99", "p99.9", "max", "noise"}}
	if compared {
		t.Columns = append(t.Columns, "× floor")
	}
	for _, x := range all {
		row := []string{x.Name, result.Figure(float64(x.Summary.Count), "1"), result.Figure(x.Summary.Mean, x.Unit), result.Figure(x.Summary.Min, x.Unit)}
		row = append(append(row, percentiles(x)...), noise(x))
		if compared {
			row = append(row, ratio(x))
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) == 0 {
		return table{}
	}
	return t
}

// drawn is how many series of one scenario are drawn; the table has all.
const drawn = 3

// plotsOf draws the distributions of a scenario's first series and of its other times, and how it went.
func plotsOf(anchor string, s result.Scenario, floors []result.Series) (all []plot) {
	if len(s.Timeline) > 1 {
		all = append(all, timeline(anchor+"-time", s))
	}
	n := 0
	for i, x := range s.Series {
		have := len(samples(x))
		if have < 3 || n == drawn || i > 0 && x.Unit != "ns" {
			continue
		}
		n++
		id := fmt.Sprintf("%s-%d", anchor, i)
		if have < few {
			all = append(all, strip(id, x))
			continue
		}
		all = append(all, percentileCurve(id+"-p", x, floorOf(x, floors)), histogram(id+"-h", x))
	}
	return all
}

func floorOf(x result.Series, floors []result.Series) *result.Series {
	for i := range floors {
		if floors[i].Name == x.Floor && floors[i].Unit == x.Unit && floors[i].Summary.Count > 0 {
			return &floors[i]
		}
	}
	return nil
}
