package result

import (
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// digits is how exactly a histogram keeps a value: within a thousandth, far below the noise of any machine.
const digits = 3

// finest is how many steps of the histogram the least sample has, so that it too is kept to that many digits, and
// widest the greatest value that a histogram is asked to hold: its buckets grow with the logarithm.
const (
	finest = 1000
	widest = 1 << 62
)

// Summarize makes the summary of samples by round. Least, greatest and mean are exact; the percentiles are those of an
// HdrHistogram, within a thousandth: the sample that has so many percent of all at or below it. What is no finite
// number of at least 0 is left out. The summary of nothing is zero.
func Summarize(rounds [][]float64) Summary {
	var all, medians []float64
	for _, round := range rounds {
		good := slices.DeleteFunc(slices.Clone(round), func(v float64) bool { return !(v >= 0 && v <= math.MaxFloat64) }) // NaN is neither
		if len(good) == 0 {
			continue
		}
		medians = append(medians, Median(good))
		all = append(all, good...)
	}
	if len(all) == 0 {
		return Summary{}
	}
	slices.Sort(medians)
	s := Summary{
		Count: int64(len(all)), Mean: mean(all), Min: slices.Min(all), Max: slices.Max(all),
		Medians: [3]float64{medians[0], Median(medians), medians[len(medians)-1]},
	}
	at := quantiles(all, s.Max)
	s.P50, s.P90, s.P95, s.P99, s.P999 = at(50), at(90), at(95), at(99), at(99.9)
	return s
}

// quantiles gives what tells the percentiles of samples, in the unit of the samples.
func quantiles(samples []float64, most float64) func(percent float64) float64 {
	least := most
	for _, v := range samples {
		if v > 0 {
			least = min(least, v)
		}
	}
	if most == 0 {
		return func(float64) float64 { return 0 }
	}
	scale := min(finest/least, widest/most)
	h := hdrhistogram.New(1, max(2*finest, int64(most*scale)), digits)
	for _, v := range samples {
		_ = h.RecordValue(int64(math.Round(v * scale))) // none is beyond the greatest
	}
	low := slices.Min(samples)
	return func(percent float64) float64 {
		return min(max(float64(h.ValueAtPercentile(percent))/scale, low), most) // the top of a bucket may be beyond all samples
	}
}

// Median is the middle of samples, or the mean of the two in the middle; 0 if there is none. It leaves them as they are.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2 // halves, as the sum of two may overflow
}

func mean(samples []float64) float64 {
	m := 0.0
	for i, v := range samples {
		m += (v - m) / float64(i+1) // a sum may overflow
	}
	return m
}

// Noise is by how much the medians of the rounds differ, as a part of the middle one: 0.05 is five percent. Two runs
// whose medians are no further apart agree within what they state. 0 if there are fewer than two rounds.
func (s Summary) Noise() float64 {
	if s.Medians[1] == 0 {
		return 0
	}
	return (s.Medians[2] - s.Medians[0]) / s.Medians[1]
}
