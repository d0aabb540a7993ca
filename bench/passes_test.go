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
		{Scenario{Kind: "latency", Rounds: 5}, []int{1, 1, 1, 1, 1}}, {Scenario{Kind: "startup", Rounds: 4}, []int{1, 1, 1, 1}},
		{Scenario{Kind: "latency", Rounds: 3}, []int{3}}, {Scenario{Kind: "throughput", Mode: "ramp", Rounds: 9}, []int{9}},
		{Scenario{Kind: "throughput", Mode: "open", Rounds: 12}, []int{3, 3, 2, 2, 2}}, {Scenario{Kind: "density", Rounds: 5}, []int{5}},
	} {
		var rounds []int
		for _, p := range c.s.passes() {
			rounds = append(rounds, p.Rounds)
		}
		if !slices.Equal(rounds, c.want) {
			t.Errorf("%+v: %v", c.s, rounds)
		}
	}
}

func TestPassesShareTheLimit(t *testing.T) {
	left := Duration(time.Minute)
	for pass := range 5 { // none of which is over before its time is
		had := share(left, pass, 5)
		if left -= had; had < Duration(3*time.Second) || left < 0 {
			t.Errorf("pass %d has %v, and %v are left", pass, had, left)
		}
	}
	if left != 0 {
		t.Errorf("%v are left", left)
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
	join(&to, part(30, 1, "it broke"), Scenario{Kind: "latency", Thresholds: []string{"lost == 0"}}, 1)
	join(&to, result.Scenario{Failed: tooLate, Settings: map[string]string{"stopped at": "1s"}},
		Scenario{Kind: "latency", Limit: Duration(3 * time.Second), Thresholds: []string{"lost == 0"}}, 2)
	if to.Settings["stopped at"] != "3s" {
		t.Errorf("%+v", to.Settings)
	}
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
