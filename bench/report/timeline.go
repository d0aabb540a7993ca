package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

// panels is how many quantities a timeline shows, each in a panel of its own below the others: two axes in one box read wrong.
const panels = 5

const (
	panelHeight = 82.0
	panelGap    = 26.0
)

// timeline draws how a scenario went over time.
func timeline(id string, s result.Scenario) plot {
	names := figures(s)
	p := plot{Title: "Over time", Note: "each panel has its own axis"}
	if len(names) > panels {
		p.Note += fmt.Sprintf("; %s not shown", strings.Join(names[panels:], ", "))
		names = names[:panels]
	}
	end := int64(1)
	for _, point := range s.Timeline {
		end = max(end, point.At)
	}
	along := scale{most: float64(end), from: boxLeft, to: boxRight}
	bottom := boxTop + float64(len(names))*(panelHeight+panelGap)
	c := newCanvas(bottom + axisHeight - 4)
	for _, v := range between(along, 6) {
		c.line(along.at(v), boxTop, along.at(v), bottom, "grid")
		c.text(along.at(v), bottom+18, "middle", "tick", result.Figure(v, "ns"))
	}
	c.text(boxRight, bottom+36, "end", "label", "since the start")
	var about []string
	for i, name := range names {
		about = append(about, c.panel(s, name, i, along, boxTop+float64(i)*(panelHeight+panelGap)))
	}
	p.SVG = c.done(id, p.Title+": "+s.Name, fmt.Sprintf("%d points over %s. %s", len(s.Timeline), time.Duration(end).Round(time.Millisecond), strings.Join(about, " ")))
	return p
}

// panel draws one quantity and says in a sentence how it went.
func (c *canvas) panel(s result.Scenario, name string, i int, along scale, top float64) string {
	unit, most, least, last := unitOf(s, name), 0.0, 0.0, 0.0
	for j, point := range s.Timeline {
		if v, ok := point.Figures[name]; ok {
			if most, last = max(most, v), v; j == 0 || v < least {
				least = v
			}
		}
	}
	top += panelGap
	up := scaleIn(2, 0, most, false, top+panelHeight, top)
	c.vertical(up, unit, boxLeft, boxRight, 2)
	c.text(boxLeft, top-8, "start", "label strong halo", fit(name, 400))
	var through, ground []place
	for _, point := range s.Timeline {
		if v, ok := point.Figures[name]; ok {
			through = append(through, place{along.at(float64(point.At)), up.at(v)})
			ground = append(ground, place{along.at(float64(point.At)), up.at(0)})
		}
	}
	c.area(through, ground, "band "+colour(i))
	c.curve(through, "l "+colour(i))
	return fmt.Sprintf("%s from %s to %s, at last %s.", name, result.Figure(least, unit), result.Figure(most, unit), result.Figure(last, unit))
}

// figures names the quantities of a timeline: those of the scenario's series first, in their order.
func figures(s result.Scenario) []string {
	all := map[string]bool{}
	for _, point := range s.Timeline {
		for name := range point.Figures {
			all[name] = true
		}
	}
	var names []string
	for _, x := range s.Series {
		if all[x.Name] {
			names = append(names, x.Name)
			delete(all, x.Name)
		}
	}
	return append(names, slices.Sorted(maps.Keys(all))...)
}

// unitOf is the unit of a quantity: that of the series of the same name; of a percentile ("p50"), that of the first series of
// times; else of the first series whose name is in it, or it in that.
func unitOf(s result.Scenario, name string) string {
	percentile := len(name) > 1 && name[0] == 'p' && strings.Trim(name[1:], "0123456789.") == ""
	for _, fits := range []func(result.Series) bool{
		func(x result.Series) bool { return x.Name == name },
		func(x result.Series) bool { return percentile && x.Unit == "ns" },
		func(x result.Series) bool { return strings.Contains(name, x.Name) || strings.Contains(x.Name, name) },
	} {
		if i := slices.IndexFunc(s.Series, fits); i >= 0 {
			return s.Series[i].Unit
		}
	}
	return "1"
}
