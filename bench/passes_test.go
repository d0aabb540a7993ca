package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

func TestPassesAreTheWholeScenario(t *testing.T) {
	for _, c := range []struct {
		s    Scenario
		want []int
	}{
		{Scenario{Kind: "latency", Rounds: 5}, []int{3, 2}}, {Scenario{Kind: "startup", Rounds: 4}, []int{2, 2}},
		{Scenario{Kind: "latency", Rounds: 3}, []int{3}}, {Scenario{Kind: "throughput", Mode: "ramp", Rounds: 9}, []int{9}},
		{Scenario{Kind: "throughput", Mode: "open", Rounds: 5}, []int{3, 2}}, {Scenario{Kind: "density", Rounds: 5}, []int{5}},
	} {
		c.s.Limit = Duration(time.Minute)
		var rounds []int
		limit := Duration(0)
		for _, p := range c.s.passes() {
			rounds, limit = append(rounds, p.Rounds), limit+p.Limit
		}
		if !slices.Equal(rounds, c.want) || limit != c.s.Limit {
			t.Errorf("%+v: %v, %v", c.s, rounds, limit)
		}
	}
}

func TestPassesAreJoined(t *testing.T) {
	part := func(v float64, lost int64, failed string) result.Scenario {
		rounds := [][]float64{{v, v}, {v, v}}
		return result.Scenario{Name: "x", Kind: "latency", Settings: map[string]string{}, Failed: failed, Counts: map[string]int64{"lost": lost},
			Series:   []result.Series{{Name: "latency", Unit: "ns", Rounds: rounds, Floor: "pipe", Ratios: []float64{v, v}, Ratio: v, Summary: result.Summarize(rounds)}},
			Timeline: []result.Point{{At: 0}, {At: 10}}, Phases: []result.Phase{{Name: "place", Median: int64(v)}},
			Verdicts: []result.Verdict{{Rule: "lost == 0", Held: true}}}
	}
	to := part(10, 0, "")
	join(&to, part(30, 1, "it broke"), Scenario{Kind: "latency", Thresholds: []string{"lost == 0"}})
	x := to.Series[0]
	if len(to.Series) != 1 || len(x.Rounds) != 4 || len(x.Ratios) != 4 || x.Ratio != 20 || x.Summary.Count != 8 || x.Summary.Medians[2] != 30 {
		t.Errorf("%+v", to.Series)
	}
	if to.Counts["lost"] != 1 || to.Failed != "it broke" || to.Phases[0].Median != 20 || len(to.Timeline) != 4 || to.Timeline[3].At != 20 {
		t.Errorf("%+v", to)
	}
	if i := slices.IndexFunc(to.Verdicts, func(v result.Verdict) bool { return v.Rule == "lost == 0" }); i < 0 || to.Verdicts[i].Held {
		t.Errorf("%+v", to.Verdicts)
	}
}
