package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/bench/result"
)

// The floors are a control group: no change of what is measured moves them. What differs by itself and not as a ratio to its floor, or
// the other way round, has changed with the machine. Where there are no ratios, a change must be greater by as much as the floors
// differ between the runs.
type control struct {
	moved  map[string]float64 // by floor: the part by which it is greater in the one run than in the other
	middle float64            // of them, which stands for what has no floor of its own
}

func controlOf(before, after *result.Report) control {
	c := control{moved: map[string]float64{}}
	var all []float64
	for _, was := range before.Floors {
		i := slices.IndexFunc(after.Floors, func(s result.Series) bool { return s.Name == was.Name && s.Unit == was.Unit })
		if i < 0 {
			continue
		}
		ra, rb := rounds(was), rounds(after.Floors[i])
		if len(ra) == 0 || len(rb) == 0 {
			continue
		}
		a, b := result.Median(each(ra, result.Median)), result.Median(each(rb, result.Median))
		if low := min(a, b); low > 0 {
			c.moved[was.Name] = (max(a, b) - low) / low
			all = append(all, c.moved[was.Name])
		}
	}
	if len(all) > 0 {
		c.middle = result.Median(all)
	}
	return c
}

// of is by how much the machine differed for a series.
func (c control) of(s result.Series) float64 {
	if moved, ok := c.moved[s.Floor]; ok {
		return moved
	}
	return c.middle
}

// row tests a pair of two series.
func (c control) row(p pair, before, after result.Series, alpha float64) Row {
	other, ok := ratiosOf(before, after)
	if ok && p.unit == "ratio" {
		all := pairsOf(before, after, false)
		if ok = len(all) > 0; ok {
			other = all[0]
		}
	}
	if !ok || p.statistic != other.statistic {
		p.noise = (1+p.noise)*(1+c.of(before)) - 1
		return p.row(alpha)
	}
	r, confirmed := p.row(alpha), other.row(alpha)
	if (r.Verdict == Better || r.Verdict == Worse) && confirmed.Verdict != r.Verdict {
		r.Verdict = Same
	}
	return r
}

// restless is from where on it is said that the machine differed: a smaller part is what rounds differ by anyway.
const restless = 0.1

// note says which floors are not the same in both runs; "" if all are.
func (c control) note() string {
	var names []string
	for name, moved := range c.moved {
		if moved > restless {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(c.moved[b], c.moved[a]), strings.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%q by %.0f %%", name, c.moved[name]*100)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("the bare machine was not the same in both runs: its floors differ, %s; what changed with them does not count, "+
		"nor what changed less and has no floor of its own: run both again, by turns, to see that", strings.Join(names, ", "))
}
