package compare

import (
	"math"
	"slices"

	"github.com/sandtree/sandtree/bench/result"
)

const (
	manyRounds = 5    // from which each round is a witness
	blocks     = 8    // witnesses that fewer rounds are cut into, at least
	tailed     = 200  // samples of a round from which its 99th percentile is not only its greatest
	tail       = 2    // times the noise that a tail must differ by: it is made of few samples, and of tails there are many
	runLuck    = 0.08 // what no number of rounds shows less of, where they lie that far apart: a whole run has its luck
	leastNoise = 0.01 // no clock, no quantile and no machine is better
)

// A pair is the witnesses of one statistic in both runs.
type pair struct {
	statistic, unit string
	more            bool // is better
	before, after   []float64
	noise           float64 // part below which no change counts
	once            bool    // of one round, which tells nothing of how rounds differ
}

// pairsOf are the statistics that both series can give.
func pairsOf(a, b result.Series, ratios bool) (all []pair) {
	more := a.Better == "more"
	if p, ok := ratiosOf(a, b); ok && ratios {
		return []pair{p}
	}
	ra, rb := rounds(a), rounds(b)
	if len(ra) == 0 || len(rb) == 0 {
		return nil
	}
	wa, wb := witnesses(ra, rb), witnesses(rb, ra)
	ma, mb := each(ra, result.Median), each(rb, result.Median)
	if len(ma) == 1 { // one round tells nothing of others: its blocks must do
		ma = wa
	}
	if len(mb) == 1 {
		mb = wb
	}
	all = append(all, pair{"p50", a.Unit, more, wa, wb, noise(ma, mb), min(len(ra), len(rb)) == 1})
	if least(ra) >= tailed && least(rb) >= tailed && min(len(ra), len(rb)) >= manyRounds {
		ta, tb := each(ra, p99), each(rb, p99)
		all = append(all, pair{"p99", a.Unit, more, ta, tb, tail * noise(ta, tb), false})
	}
	return all
}

// ratiosOf are the ratios to the floor that both series have.
func ratiosOf(a, b result.Series) (p pair, ok bool) {
	if a.Floor == "" || a.Floor != b.Floor || len(a.Ratios) == 0 || len(b.Ratios) == 0 {
		return p, false
	}
	return pair{"p50", "ratio", a.Better == "more", a.Ratios, b.Ratios, noise(a.Ratios, b.Ratios), false}, true
}

// rounds are those that have samples, and of them what is a number.
func rounds(s result.Series) (all [][]float64) {
	for _, round := range s.Rounds {
		good := slices.DeleteFunc(slices.Clone(round), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
		if len(good) > 0 {
			all = append(all, good)
		}
	}
	return all
}

// witnesses are the medians of the rounds, or of blocks of them if one of the runs has few.
func witnesses(of, beside [][]float64) []float64 {
	if min(len(of), len(beside)) >= manyRounds {
		return each(of, result.Median)
	}
	n := (blocks + len(of) - 1) / len(of) // of each round
	var all []float64
	for _, round := range of {
		parts := min(n, len(round))
		for i := range parts {
			all = append(all, result.Median(round[i*len(round)/parts:(i+1)*len(round)/parts]))
		}
	}
	return all
}

// noise is the greater of how far the rounds of each run lie apart, as a part of their median. The median of more than five is surer by
// the root of their number.
func noise(a, b []float64) float64 {
	apart := leastNoise
	for _, rounds := range [][]float64{a, b} {
		if m := result.Median(rounds); m > 0 {
			s := spread(rounds) / m
			apart = max(apart, s*math.Sqrt(manyRounds/float64(max(len(rounds), manyRounds))), min(s, runLuck))
		}
	}
	return apart
}

// spread is about the range of five rounds, by as many as there are. Of eight and more the quartiles tell it, so that one round
// that was disturbed does not hide what the others show; the factor is that of a normal distribution.
func spread(rounds []float64) float64 {
	if n := len(rounds); n < 8 {
		return wider(n) * (slices.Max(rounds) - slices.Min(rounds))
	}
	sorted := slices.Sorted(slices.Values(rounds))
	quarter := len(sorted) / 4
	return five / 1.349 * (sorted[len(sorted)-1-quarter] - sorted[quarter])
}

// rangeOf is how far n normal values lie apart on average, in standard deviations: the constant d2 of control charts, for 2 to 7.
var rangeOf = []float64{1.128, 1.693, 2.059, five, 2.534, 2.704}

const five = 2.326

// wider is by how much the range of n rounds must be stretched to be, on average, that of five: two or three seldom show how far
// apart rounds can be.
func wider(n int) float64 {
	if n < 2 {
		return 1
	}
	return five / rangeOf[n-2]
}

func each(rounds [][]float64, of func([]float64) float64) []float64 {
	all := make([]float64, len(rounds))
	for i, round := range rounds {
		all[i] = of(round)
	}
	return all
}

func least(rounds [][]float64) int {
	n := math.MaxInt
	for _, round := range rounds {
		n = min(n, len(round))
	}
	return n
}

func p99(round []float64) float64 {
	return slices.Sorted(slices.Values(round))[len(round)*99/100]
}
