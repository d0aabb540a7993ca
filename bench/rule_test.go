package bench

import (
	"context"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
)

// measured is a scenario with figures that are easy to tell apart.
func measured() result.Scenario {
	return result.Scenario{
		Series: []result.Series{
			{Name: "latency", Unit: "ns", Ratio: 1.5, Summary: result.Summary{Count: 10, Mean: 3e6, Min: 1e6, P50: 2e6, P90: 4e6, P95: 5e6, P99: 6e6, P999: 7e6, Max: 8e6,
				Medians: [3]float64{1e6, 2e6, 3e6}}},
			{Name: "memory per runtime", Unit: "bytes", Summary: result.Summary{Count: 1, Mean: 2e9, P50: 2e9, Max: 2e9}},
			{Name: "cpu", Unit: "percent", Summary: result.Summary{Count: 1, Mean: 42}},
			{Name: "empty", Unit: "ns"},
		},
		Counts: map[string]int64{"lost": 0, "streams": 101},
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule     string
		told     bool
		held     bool
		found    float64
		wantUnit string
	}{
		{"p50 < 5ms", true, true, 2e6, "ns"},
		{"p99 < 5ms", true, false, 6e6, "ns"},
		{"p99.9 <= 7ms", true, true, 7e6, "ns"},
		{"p99.9 < 7 ms", true, false, 7e6, "ns"},
		{"max < 30s", true, true, 8e6, "ns"},
		{"min >= 1ms", true, true, 1e6, "ns"},
		{"mean > 10", true, true, 3e6, "ns"},
		{"ratio <= 2", true, true, 1.5, "1"},
		{"ratio < 1.5", true, false, 1.5, "1"},
		{"noise < 0.5", true, false, 1, "1"},
		{"samples >= 10", true, true, 10, "1"},
		{"memory per runtime: max < 2 GB", true, false, 2e9, "bytes"},
		{"memory per runtime: max <= 2 GB", true, true, 2e9, "bytes"},
		{" memory per runtime : max < 2 GiB", true, true, 2e9, "bytes"},
		{"cpu: mean < 80%", true, true, 42, "percent"},
		{"lost == 0", true, true, 0, "1"},
		{"streams > 100", true, true, 101, "1"},
		{"repeated == 0", false, false, 0, ""},                 // nobody counted
		{"memory per runtime: ratio < 2", false, false, 0, ""}, // it has no floor
		{"empty: p50 < 1s", false, false, 0, ""},
		{"walks: p50 < 1s", false, false, 0, ""},
		{"p50 < 2 GB", false, false, 2e6, "ns"}, // of another unit
	} {
		r, err := ParseRule(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		v, told := r.judge(measured())
		if told != c.told || told && (v.Held != c.held || v.Found != c.found || v.Unit != c.wantUnit) {
			t.Errorf("%s: %+v, told %v", c.rule, v, told)
		}
	}
}

func TestRulesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "p99", "< 5ms", "p99 5ms", "p99 = 5ms", "p99 << 5ms", "p99 < ", "p99 < fast", "p99 < -3ms", "p99 < NaN", "two words < 3", "latency: < 3"} {
		if r, err := ParseRule(text); err == nil {
			t.Errorf("%q was taken as %+v", text, r)
		}
	}
}

func TestPublishedTargetsAreAsked(t *testing.T) {
	for source, sc := range map[string]Scenario{
		"R195": {Kind: "startup", From: "cold"},
		"R196": {Kind: "latency"},
		"R197": {Kind: "throughput", Mode: "closed"},
		"R198": {Kind: "throughput", Mode: "open"},
		"R199": {Kind: "throughput", Mode: "open"},
		"R200": {Kind: "connections", Streams: 101},
	} {
		found := false
		for _, r := range sc.rules() {
			found = found || strings.HasSuffix(r.Source, source)
		}
		if !found {
			t.Errorf("%s is not asked of %+v", source, sc)
		}
	}
	for _, r := range (Scenario{Kind: "connections", Streams: 50}).rules() {
		t.Errorf("%s is asked of 50 streams", r.Text)
	}
}

func TestWhatCannotBeToldHasNotHeld(t *testing.T) {
	s := measured()
	judge(Scenario{Kind: "latency", Thresholds: []string{"repeated == 0"}}, &s)
	if len(s.Verdicts) != 2 || s.Verdicts[0].Held || !s.Verdicts[1].Held {
		t.Errorf("%+v", s.Verdicts)
	}
}

// Where nothing was measured a count of what must not be says nothing.
func TestCountsOfNothingDoNotHold(t *testing.T) {
	s := result.Scenario{Kind: "recovery", Counts: map[string]int64{"lost": 0}, Series: []result.Series{{Name: "recovery"}}}
	judge(Scenario{Kind: "recovery", Thresholds: []string{"lost == 0"}}, &s)
	if len(s.Verdicts) != 1 || s.Verdicts[0].Held {
		t.Errorf("%+v", s.Verdicts)
	}
}

func TestThresholdsForATarget(t *testing.T) {
	set, err := Parse("x", []byte("[[scenario]]\nname='a'\nkind='latency'\nop='true'\nthresholds=['p50 < 1s']\nthresholds_for={docker=['p50 < 2s']}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docker": "p50 < 2s", "jail": "p50 < 1s"} {
		all, err := Config{Set: set, Target: named(name)}.scenarios()
		if err != nil || all[0].Thresholds[0] != want {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// A named target is nothing but its name.
type named string

func (n named) About() target.About                                      { return target.About{Name: string(n)} }
func (named) Start(context.Context, target.Wish) (target.Runtime, error) { return nil, nil }
func (named) Close(context.Context) error                                { return nil }
