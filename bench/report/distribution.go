package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"

	"github.com/sandtree/sandtree/bench/result"
)

// A plot is a drawing, what stands above it, and what its colours mean.
type plot struct {
	Title   string
	Note    string // what must be known to read it
	SVG     template.HTML
	Legend  []key
	Columns []string // of the same figures as a table, for whom a drawing says little; empty where another table says them
	Rows    [][]string
}

// A key is a colour and what it stands for.
type key struct{ Class, Name string }

// few is the number of samples below which each is drawn by itself.
const few = 60

// The box of plots with axes left and below.
const (
	boxLeft, boxRight  = 74.0, plotWidth - 14.0
	boxTop, boxBottom  = 12.0, 236.0
	axisHeight, height = 44.0, boxBottom + 44.0
)

// quantile is the value of sorted samples below which the part p of them lies.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// nines is where a percentile lies on the axis of HdrHistogram's plots: 0 for 0, 1 for 90 %, 2 for 99 %, …
func nines(p float64) float64 { return -math.Log10(1 - p) }

// percentileCurve draws percentiles of a series on an axis that stretches the tail: the line is all samples, the band about it
// is from the least to the greatest of the rounds, the dashed line the floor.
func percentileCurve(id string, x result.Series, floor *result.Series) plot {
	all := samples(x)
	most := nines(1 - 1/float64(len(all)))
	values := scaleOf(least(all, floor), all[len(all)-1], spread(all), boxBottom, boxTop)
	along := scale{most: most, from: boxLeft, to: boxRight}
	c := newCanvas(height)
	c.vertical(values, x.Unit, boxLeft, boxRight, 5)
	for _, p := range []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999} {
		if n := nines(p); n <= most+1e-9 && (p > 0 || most < 3) { // where the axis is long, 0 and 50 % have no room side by side
			c.line(along.at(n), boxTop, along.at(n), boxBottom, "grid")
			c.text(along.at(n), boxBottom+18, "middle", "tick", strconv.FormatFloat(100*p, 'f', -1, 64)+" %")
		}
	}
	c.text(boxRight, boxBottom+36, "end", "label", "percentile")
	c.roundsBand(x, values, along)
	if floor != nil {
		y := values.at(floor.Summary.P50)
		c.line(boxLeft, y, boxRight, y, "l floor")
		c.text(boxRight, y-6, "end", "label", fit("floor: "+floor.Name+" "+result.Figure(floor.Summary.P50, floor.Unit), 330))
	}
	c.curve(curveOf(all, values, along), "l "+colour(0))
	s := x.Summary
	return plot{Title: "Percentiles of " + x.Name, Note: note(x),
		SVG: c.done(id, "Percentiles of "+x.Name, fmt.Sprintf("Half of %d samples are at most %s, 90 percent at most %s, 99 percent at most %s, all at most %s.",
			s.Count, result.Figure(s.P50, x.Unit), result.Figure(s.P90, x.Unit), result.Figure(s.P99, x.Unit), result.Figure(s.Max, x.Unit)))}
}

func note(x result.Series) string {
	if n := rounds(x); n > 1 {
		return fmt.Sprintf("%s samples; the band spans the %d rounds", result.Figure(float64(x.Summary.Count), "1"), n)
	}
	return result.Figure(float64(x.Summary.Count), "1") + " samples of one round"
}

// least is the lower end of what is drawn.
func least(all []float64, floor *result.Series) float64 {
	v := all[0]
	if floor != nil && floor.Summary.P50 > 0 {
		v = min(v, floor.Summary.P50)
	}
	return v
}

// spread says whether samples need a logarithmic axis.
func spread(all []float64) bool { return all[len(all)-1] > wide*quantile(all, 0.5) }

// points is how many a curve has: one for each four pixels.
const points = 120

func curveOf(sorted []float64, values, along scale) []place {
	var through []place
	for i := range points + 1 {
		n := along.most * float64(i) / points
		through = append(through, place{along.at(n), values.at(quantile(sorted, 1-math.Pow(10, -n)))})
	}
	return through
}

// roundsBand fills what lies between the best and the worst round, as far as rounds have samples to say so.
func (c *canvas) roundsBand(x result.Series, values, along scale) {
	var sorted [][]float64
	shortest := math.MaxInt
	for _, round := range x.Rounds {
		if len(round) > 1 {
			sorted = append(sorted, slices.Sorted(slices.Values(round)))
			shortest = min(shortest, len(round))
		}
	}
	if len(sorted) < 2 {
		return
	}
	var upper, lower []place
	end := min(along.most, nines(1-1/float64(shortest)))
	for i := range points + 1 {
		n := end * float64(i) / points
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, round := range sorted {
			v := quantile(round, 1-math.Pow(10, -n))
			lo, hi = min(lo, v), max(hi, v)
		}
		upper = append(upper, place{along.at(n), values.at(hi)})
		lower = append(lower, place{along.at(n), values.at(lo)})
	}
	c.area(upper, lower, "band "+colour(0))
}
