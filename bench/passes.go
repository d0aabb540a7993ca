package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

// fewestApart is from how many rounds on they are played in two passes.
const fewestApart = 4

// passes are the scenarios that one is played as. The rounds of a scenario are witnesses of how much a machine differs from itself; one right
// after the other they see what it is like in those seconds alone. So half of them are played when all other scenarios have had
// their turn. What is begun once and then grows, as a ramp, is played in one go.
func (s Scenario) passes() []Scenario {
	apart := s.Kind == "startup" || s.Kind == "latency" || s.Kind == "recovery" || s.Kind == "throughput" && s.Mode != "ramp"
	if !apart || s.Rounds < fewestApart {
		return []Scenario{s}
	}
	first, second := s, s
	first.Rounds = (s.Rounds + 1) / 2
	second.Rounds = s.Rounds - first.Rounds
	first.Limit = s.Limit * Duration(first.Rounds) / Duration(s.Rounds)
	second.Limit = s.Limit - first.Limit
	return []Scenario{first, second}
}

// playAll plays scenarios, in two passes; what has ended early in the first is not in the second. It returns what there is when
// ctx ends.
func (c Config) playAll(ctx context.Context, scenarios []Scenario, f *floors, look func()) []result.Scenario {
	all := make([]result.Scenario, 0, len(scenarios))
	for pass := range 2 {
		for i, sc := range scenarios {
			parts := sc.passes()
			if pass >= len(parts) || pass > 0 && (all[i].Failed != "" || all[i].Unsupported != "") {
				continue
			}
			look()
			s := &scene{Scenario: parts[pass], config: c, target: c.Target, floors: f, index: i, of: len(scenarios), began: time.Now(),
				share: 1 / float64(len(parts)), before: float64(pass) / float64(len(parts))}
			out := s.play(ctx)
			if pass == 0 {
				out.Settings = withRounds(out.Settings, sc.Rounds)
				all = append(all, out)
			} else {
				join(&all[i], out, sc)
			}
			if over := &all[i]; pass == len(parts)-1 || over.Failed != "" || over.Unsupported != "" {
				s.hear(Event{Done: 1, Result: over})
			}
			if ctx.Err() != nil {
				return all
			}
		}
	}
	return all
}

func withRounds(settings map[string]string, n int) map[string]string {
	if _, ok := settings["rounds"]; ok {
		settings["rounds"] = fmt.Sprint(n)
	}
	return settings
}

// join adds the second pass of a scenario to its first.
func join(to *result.Scenario, second result.Scenario, sc Scenario) {
	if second.Unsupported != "" { // though the first was not
		second.Failed = second.Unsupported
	}
	if stopped := second.Settings["stopped at"]; stopped != "" {
		to.Settings["stopped at"] = stopped
	}
	if second.Failed != tooLate || samples(*to) == 0 { // what the first pass has measured stands, with fewer rounds
		to.Failed = second.Failed
	}
	for _, x := range second.Series {
		i := slices.IndexFunc(to.Series, func(y result.Series) bool { return y.Name == x.Name && y.Unit == x.Unit })
		if i < 0 {
			to.Series = append(to.Series, x)
			continue
		}
		y := &to.Series[i]
		y.Rounds, y.Ratios = append(y.Rounds, x.Rounds...), append(y.Ratios, x.Ratios...)
		if y.Floor == "" {
			y.Floor = x.Floor
		}
		if len(y.Ratios) > 0 {
			y.Ratio = result.Median(y.Ratios)
		}
		y.Summary = result.Summarize(y.Rounds)
	}
	for name, n := range second.Counts {
		if to.Counts == nil {
			to.Counts = map[string]int64{}
		}
		to.Counts[name] += n
	}
	offset := int64(0)
	if n := len(to.Timeline); n > 0 {
		offset = to.Timeline[n-1].At
	}
	for _, p := range second.Timeline {
		p.At += offset
		to.Timeline = append(to.Timeline, p)
	}
	joinPhases(to, second.Phases)
	to.Verdicts = nil
	judge(sc, to)
}

// joinPhases makes of two medians of a phase their mean: the passes are nearly equally long.
func joinPhases(to *result.Scenario, more []result.Phase) {
	for _, p := range more {
		i := slices.IndexFunc(to.Phases, func(q result.Phase) bool { return q.Name == p.Name })
		if i < 0 {
			to.Phases = append(to.Phases, p)
			continue
		}
		to.Phases[i].Median = (to.Phases[i].Median + p.Median) / 2
	}
}
