package bench

import (
	"math/rand/v2"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

func TestEvenlyKeepsPercentiles(t *testing.T) {
	all := make([]float64, 300_000)
	at := map[float64]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range all {
		all[i] = random.ExpFloat64()
		at[all[i]] = i
	}
	few := evenly(all, kept)
	was, is := result.Summarize([][]float64{all}), result.Summarize([][]float64{few})
	if is.Count != kept || is.Min != was.Min || is.Max != was.Max {
		t.Errorf("%+v became %+v", was, is)
	}
	for name, p := range map[string][2]float64{"mean": {was.Mean, is.Mean}, "p50": {was.P50, is.P50}, "p99": {was.P99, is.P99}, "p99.9": {was.P999, is.P999}} {
		if off := p[1]/p[0] - 1; off > 0.01 || off < -0.01 {
			t.Errorf("%s was %v and is %v", name, p[0], p[1])
		}
	}
	for i := range few[1:] {
		if at[few[i]] >= at[few[i+1]] {
			t.Fatalf("sample %d stands after one that it stood before", i)
		}
	}
}

func TestThin(t *testing.T) {
	s := &scene{out: result.Scenario{Settings: map[string]string{}}}
	for round, n := range []int{kept, kept + 1} {
		for range n {
			s.put("latency", "ns", "less", round, 1)
		}
		s.thin("latency", round)
	}
	if x := s.out.Series[0]; len(x.Rounds[0]) != kept || len(x.Rounds[1]) != kept || s.out.Settings["samples kept"] == "" {
		t.Errorf("%d and %d samples, %v", len(x.Rounds[0]), len(x.Rounds[1]), s.out.Settings)
	}
}
