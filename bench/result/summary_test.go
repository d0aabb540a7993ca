package result_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

func TestSummarizeIsExactWhereItMustBe(t *testing.T) {
	for name, c := range map[string]struct {
		rounds [][]float64
		want   result.Summary
	}{
		"nothing":     {nil, result.Summary{}},
		"empty round": {[][]float64{{}, nil}, result.Summary{}},
		"one":         {[][]float64{{7}}, result.Summary{Count: 1, Mean: 7, Min: 7, P50: 7, P90: 7, P95: 7, P99: 7, P999: 7, Max: 7, Medians: [3]float64{7, 7, 7}}},
		"zeros":       {[][]float64{{0, 0}, {0}}, result.Summary{Count: 3}},
		"no numbers": {[][]float64{{math.NaN(), math.Inf(1), -3, 5}},
			result.Summary{Count: 1, Mean: 5, Min: 5, P50: 5, P90: 5, P95: 5, P99: 5, P999: 5, Max: 5, Medians: [3]float64{5, 5, 5}}},
	} {
		if got := result.Summarize(c.rounds); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestSummarizeKeepsThreeDigits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, unit := range []float64{1e-6, 1, 1e6, 1e12} { // a part of a core, a ratio, milliseconds, terabytes
		rounds := make([][]float64, 4)
		var all []float64
		for i := range 4000 {
			v := math.Exp(random.NormFloat64()) * unit
			rounds[i%4] = append(rounds[i%4], v)
			all = append(all, v)
		}
		slices.Sort(all)
		s := result.Summarize(rounds)
		for percent, got := range map[float64]float64{50: s.P50, 90: s.P90, 95: s.P95, 99: s.P99, 99.9: s.P999} {
			want := all[int(math.Round(percent/100*float64(len(all))))-1]
			if math.Abs(got-want) > want*2e-3 {
				t.Errorf("unit %g: p%v is %g, want %g", unit, percent, got, want)
			}
		}
		if s.Min != all[0] || s.Max != all[len(all)-1] || s.Count != 4000 {
			t.Errorf("unit %g: %+v", unit, s)
		}
		if s.Medians[0] > s.Medians[1] || s.Medians[1] > s.Medians[2] || s.Noise() <= 0 || s.Noise() > 0.5 {
			t.Errorf("unit %g: medians %v, noise %g", unit, s.Medians, s.Noise())
		}
	}
}

func TestSummarizeHoldsAnyRange(t *testing.T) {
	s := result.Summarize([][]float64{{1e-9, 1, 1e300}})
	if s.Min != 1e-9 || s.Max != 1e300 || s.P50 < s.Min || s.P999 > s.Max || math.IsInf(s.Mean, 0) {
		t.Errorf("%+v", s)
	}
}

func TestMedianLeavesItsSamples(t *testing.T) {
	samples := []float64{3, 1, 2, 10}
	if got := result.Median(samples); got != 2.5 || !slices.Equal(samples, []float64{3, 1, 2, 10}) {
		t.Errorf("median %g, samples %v", got, samples)
	}
	if got := result.Median(nil); got != 0 {
		t.Errorf("median of nothing: %g", got)
	}
}
