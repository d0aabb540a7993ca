package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/sandtree/sandtree/bench/result"
)

// bins is how many bars a histogram has.
const bins = 44

// histogram draws how often which values came. It ends where the body of the distribution does, so that it has the room; what
// is beyond is said, and seen in the plot of percentiles.
func histogram(id string, x result.Series) plot {
	all := samples(x)
	p50, p90 := quantile(all, 0.5), quantile(all, 0.9)
	end := min(quantile(all, 0.999), p90+5*(p90-p50))
	low := quantile(all, 0.001)
	if low > end/3 {
		low *= 0.9
	} else {
		low = 0
	}
	along := scale{least: low, most: end, from: boxLeft, to: boxRight}
	if end <= low {
		along.most = low + 1
	}
	count, beyond := fill(all, along)
	tallest := 0
	for _, n := range count {
		tallest = max(tallest, n)
	}
	up := scaleOf(0, 1.1*float64(tallest), false, boxBottom, boxTop) // names of marks stand above the bars
	c := newCanvas(height)
	c.vertical(up, "1", boxLeft, boxRight, 4)
	w := (boxRight - boxLeft) / bins
	for i, n := range count {
		if n > 0 {
			y := up.at(float64(n))
			c.rect(boxLeft+float64(i)*w+0.5, y, w-1, boxBottom-y, "f "+colour(0), "")
		}
	}
	for _, v := range between(along, 5) {
		c.line(along.at(v), boxBottom, along.at(v), boxBottom+5, "axis")
		c.text(along.at(v), boxBottom+20, "middle", "tick", result.Figure(v, x.Unit))
	}
	c.line(boxLeft, boxBottom, boxRight, boxBottom, "axis")
	c.mark(along, x.Summary.P50, "p50", "end")
	c.mark(along, x.Summary.P90, "p90", "start")
	p := plot{Title: "Histogram of " + x.Name, Note: fmt.Sprintf("samples in each of %d equal steps", bins)}
	if beyond > 0 {
		p.Note += fmt.Sprintf("; %d above %s not shown", beyond, result.Figure(along.most, x.Unit))
	}
	p.SVG = c.done(id, p.Title, "Most samples lie about "+result.Figure(x.Summary.P50, x.Unit)+". "+p.Note+".")
	return p
}

// fill counts samples by bin.
func fill(all []float64, along scale) (count [bins]int, beyond int) {
	for _, v := range all {
		switch i := int((v - along.least) / (along.most - along.least) * bins); {
		case v > along.most:
			beyond++
		default:
			count[min(max(i, 0), bins-1)]++
		}
	}
	return count, beyond
}

// between are round values inside a scale that does not begin at 0.
func between(s scale, n int) (all []float64) {
	unit := step(s.most-s.least, n)
	first := math.Ceil(s.least / unit)
	for i := range 2 * n {
		if v := (first + float64(i)) * unit; v <= s.most {
			all = append(all, v)
		}
	}
	return all
}

// mark draws a line up from a value, with its name before ("end") or behind it.
func (c *canvas) mark(along scale, v float64, name, anchor string) {
	if v < along.least || v > along.most {
		return
	}
	x := along.at(v)
	c.line(x, boxTop, x, boxBottom, "l mark")
	c.text(x+map[string]float64{"start": 5, "end": -5}[anchor], boxTop+11, anchor, "label", name)
}

// strip draws each sample of a few as a dot, a line for each round, with the median as a bar.
func strip(id string, x result.Series) plot {
	const perRound, labels = 30.0, 64.0
	all := samples(x)
	c := newCanvas(boxTop + perRound*float64(len(x.Rounds)) + axisHeight)
	bottom := boxTop + perRound*float64(len(x.Rounds))
	along := scaleOf(all[0], all[len(all)-1], spread(all), labels, boxRight)
	c.horizontal(along, x.Unit, boxTop, bottom, 5)
	for i, round := range x.Rounds {
		y := boxTop + perRound*(float64(i)+0.5)
		c.text(labels-10, y+4, "end", "tick", "round "+strconv.Itoa(i+1))
		if len(round) > 1 {
			m := along.at(result.Median(round))
			c.line(m, y-11, m, y+11, "l median")
		}
		for _, v := range round {
			c.dot(along.at(v), y, "dot "+colour(0))
		}
	}
	title := "Samples of " + x.Name
	return plot{Title: title, Note: "each dot one sample, the bar the median of its round", SVG: c.done(id, title,
		fmt.Sprintf("%d samples from %s to %s, median %s.", x.Summary.Count, result.Figure(x.Summary.Min, x.Unit), result.Figure(x.Summary.Max, x.Unit),
			result.Figure(x.Summary.P50, x.Unit)))}
}
