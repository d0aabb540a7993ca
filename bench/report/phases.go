package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

// A palette gives phases their colours: the longest have one each, in the order in which they come, and the others share grey.
type palette struct {
	names []string       // of all phases, in order
	class map[string]int // of those with a colour of their own
}

// distinct is how many phases have a colour of their own.
const distinct = 5

func paletteOf(with []result.Scenario) palette {
	p := palette{class: map[string]int{}}
	longest := map[string]float64{} // part of a start, in the one in which it is greatest
	for _, s := range with {
		for _, x := range s.Phases {
			if !slices.Contains(p.names, x.Name) {
				p.names = append(p.names, x.Name)
			}
			longest[x.Name] = max(longest[x.Name], float64(x.Median)/max(1, whole(s)))
		}
	}
	ranked := slices.Clone(p.names)
	slices.SortStableFunc(ranked, func(a, b string) int {
		switch {
		case longest[a] > longest[b]:
			return -1
		case longest[a] < longest[b]:
			return 1
		}
		return 0
	})
	ranked = ranked[:min(distinct, len(ranked))]
	for _, n := range p.names {
		if slices.Contains(ranked, n) {
			p.class[n] = len(p.class)
		}
	}
	return p
}

func (p palette) of(name string) string {
	if i, ok := p.class[name]; ok {
		return colour(i)
	}
	return "rest"
}

func (p palette) legend() (all []key) {
	var rest []string
	for _, n := range p.names {
		if _, ok := p.class[n]; ok {
			all = append(all, key{p.of(n), n})
		} else {
			rest = append(rest, n)
		}
	}
	if len(rest) > 0 {
		all = append(all, key{"rest", strings.Join(rest, ", ")})
	}
	return all
}

// whole is how long the phases of a start take together, in nanoseconds.
func whole(s result.Scenario) (sum float64) {
	for _, p := range s.Phases {
		sum += max(0, float64(p.Median))
	}
	return sum
}

// phases draws starts as bars made of their phases.
func phases(r *result.Report) []plot {
	with := slices.DeleteFunc(slices.Clone(r.Scenarios), func(s result.Scenario) bool { return len(s.Phases) == 0 })
	if len(with) == 0 {
		return nil
	}
	most := 0.0
	for _, s := range with {
		most = max(most, whole(s))
	}
	colours := paletteOf(with)
	p := plot{Title: "Where a start goes", Note: "medians of the phases, in their order", Columns: append([]string{""}, colours.names...), Legend: colours.legend()}
	const left, right = 8.0, plotWidth - 22.0
	along := scaleOf(0, most, false, left, right)
	bottom := boxTop + perBar*float64(len(with))
	c := newCanvas(bottom + axisHeight - 16)
	c.horizontal(along, "ns", boxTop, bottom, 5)
	for i, s := range with {
		p.Rows = append(p.Rows, c.phased(s, colours, along, boxTop+perBar*float64(i)))
	}
	p.SVG = c.done("phases", p.Title, fmt.Sprintf("%d kinds of start, the longest takes %s. The table that follows has the same figures.",
		len(with), time.Duration(most)))
	return []plot{p}
}

// phased draws one start and gives its row of the table.
func (c *canvas) phased(s result.Scenario, colours palette, along scale, y float64) []string {
	row := make([]string, 1+len(colours.names))
	row[0] = s.Name
	sum := 0.0
	for _, p := range s.Phases {
		from := along.at(sum)
		sum += max(0, float64(p.Median))
		figure := result.Figure(float64(p.Median), "ns")
		row[1+slices.Index(colours.names, p.Name)] = figure
		c.rect(from, y+18, along.at(sum)-from, 14, "f "+colours.of(p.Name), p.Name+": "+figure)
	}
	c.text(along.from, y+13, "start", "label strong halo", fit(s.Name, 300))
	c.text(along.to, y+13, "end", "label strong halo", result.Figure(sum, "ns"))
	return row
}
