package bench

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
)

// kept is how many samples of a round are kept: twenty of them are above its p99.9. All of a night would be a file that nothing reads.
const kept = 20_000

// thin leaves that many samples of a round, and says so in the report.
func (s *scene) thin(series string, round int) {
	for i := range s.out.Series {
		x := &s.out.Series[i]
		if x.Name != series || round >= len(x.Rounds) || len(x.Rounds[round]) <= kept {
			continue
		}
		x.Rounds[round] = evenly(x.Rounds[round], kept)
		s.out.Settings["samples kept"] = fmt.Sprintf("%s of a round, evenly by size", humanize.Comma(kept))
	}
}

// evenly picks n samples, the least and the greatest among them, whose ranks are equally far apart: percentiles stay where they are. They
// stand in the order in which they stood.
func evenly(all []float64, n int) []float64 {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(all[a], all[b]) })
	picked := make([]int, n)
	for i := range picked {
		picked[i] = order[i*(len(all)-1)/(n-1)]
	}
	slices.Sort(picked)
	few := make([]float64, n)
	for i, at := range picked {
		few[i] = all[at]
	}
	return few
}
