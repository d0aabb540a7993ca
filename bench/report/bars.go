package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/sandtree/sandtree/bench/result"
)

// A bar is a figure with how far its rounds differ.
type bar struct {
	name         string
	v, low, high float64
	unit         string
}

const perBar = 40.0 // units in height: a line of text, and the bar below it

// barPlot draws bars, each below its name. A line through them marks the value one, if that is asked for.
func barPlot(id, title, note, unit string, bars []bar, one string) plot {
	most, low := 0.0, 0.0
	for _, b := range bars {
		most = max(most, b.v, b.high)
		if low == 0 || b.v < low {
			low = b.v
		}
	}
	const left, right = 8.0, plotWidth - 22.0
	log := one != "" && most > 3*wide
	along := scaleOf(min(1, low)/2, most, log, left, right)
	bottom := boxTop + perBar*float64(len(bars))
	room := axisHeight - 16.0
	if one != "" {
		room = axisHeight
	}
	c := newCanvas(bottom + room)
	c.horizontal(along, unit, boxTop, bottom, 5)
	ground := left // a logarithm has no zero: bars begin at one
	if one != "" {
		if c.line(along.at(1), boxTop, along.at(1), bottom, "l floor"); log {
			ground = along.at(1)
		}
		c.text(max(along.at(1), left+24), bottom+36, "middle", "label", one)
	}
	p := plot{Title: title, Note: note, Columns: []string{"", "median", "least to greatest of the rounds"}}
	for i, b := range bars {
		y := boxTop + perBar*float64(i)
		value := result.Figure(b.v, b.unit)
		c.rect(min(ground, along.at(b.v)), y+18, math.Abs(along.at(b.v)-ground), 14, "f "+colour(0), b.name+": "+value)
		if b.high > b.low {
			c.line(along.at(b.low), y+25, along.at(b.high), y+25, "l whisker")
			c.line(along.at(b.low), y+21, along.at(b.low), y+29, "l whisker")
			c.line(along.at(b.high), y+21, along.at(b.high), y+29, "l whisker")
		}
		c.text(left, y+13, "start", "label strong halo", fit(b.name, 300))
		c.text(right, y+13, "end", "label strong halo", value)
		p.Rows = append(p.Rows, []string{b.name, value, result.Figure(b.low, b.unit) + " – " + result.Figure(b.high, b.unit)})
	}
	p.SVG = c.done(id, title, note+". The table that follows has the same figures.")
	return p
}

// spreadOf is a bar of a series: its median, and those of its rounds.
func spreadOf(name string, x result.Series) bar {
	m := x.Summary.Medians
	return bar{name: name, v: m[1], low: m[0], high: m[2], unit: x.Unit}
}

// ratios draws how scenarios stand to their floors.
func ratios(r *result.Report) []plot {
	var bars []bar
	for _, s := range r.Scenarios {
		for i, x := range s.Series {
			if x.Ratio <= 0 {
				continue
			}
			b := bar{name: s.Name, v: x.Ratio, low: x.Ratio, high: x.Ratio, unit: "ratio"}
			if i > 0 {
				b.name += ", " + x.Name
			}
			if len(x.Ratios) > 0 {
				b.low, b.high = slices.Min(x.Ratios), slices.Max(x.Ratios)
			}
			bars = append(bars, b)
		}
	}
	if len(bars) == 0 {
		return nil
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.v, b.v) })
	return []plot{barPlot("ratios", "Against the floors of the machine", "1× is what the same work costs without a sandbox, measured in the same run; shorter is better",
		"ratio", bars, "the floor")}
}

// memory draws what takes how many bytes.
func memory(r *result.Report) []plot {
	var bars []bar
	for _, s := range r.Scenarios {
		for _, x := range s.Series {
			if x.Unit == "bytes" && x.Summary.Count > 0 {
				bars = append(bars, spreadOf(s.Name+", "+x.Name, x))
			}
		}
	}
	if len(bars) == 0 {
		return nil
	}
	return []plot{barPlot("memory", "Memory", "medians; the thin line spans the medians of the rounds", "bytes", bars, "")}
}
