package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

const (
	fewestApart = 4 // rounds, from which on they are played in passes
	mostPasses  = 5 // each begins with a runtime of its own, and a warm-up
)

// passes are the scenarios that one is played as. The rounds of a scenario are witnesses of how much a machine differs from itself; one right
// after the other they see what it is like in those seconds alone. So each pass over all scenarios plays a part of them. What is
// begun once and then grows, as a ramp, is played in one go.
func (s Scenario) passes() []Scenario {
	apart := s.Kind == "startup" || s.Kind == "latency" || s.Kind == "recovery" || s.Kind == "throughput" && s.Mode != "ramp"
	if !apart || s.Rounds < fewestApart {
		return []Scenario{s}
	}
	all := make([]Scenario, min(s.Rounds, mostPasses))
	rounds := s.Rounds
	for i := range all {
		left := len(all) - i
		all[i] = s
		all[i].Rounds = (rounds + left - 1) / left
		rounds -= all[i].Rounds
	}
	return all
}

// share is what a pass may take of the time that its scenario has left: a slow one shall measure something, and leave some to the others.
func share(left Duration, pass, of int) Duration {
	if pass == of-1 {
		return left
	}
	return left / 2
}

// playAll plays scenarios, in passes; what has ended early in one is not in the next. It returns what there is when ctx ends.
func (c Config) playAll(ctx context.Context, scenarios []Scenario, f *floors, look func()) []result.Scenario {
	all := make([]result.Scenario, 0, len(scenarios))
	used := make([]Duration, len(scenarios))
	for pass := range mostPasses {
		for i, sc := range scenarios {
			parts := sc.passes()
			if pass >= len(parts) || pass > 0 && (all[i].Failed != "" || all[i].Unsupported != "") {
				continue
			}
			look()
			part := parts[pass]
			part.Limit = share(sc.Limit-used[i], pass, len(parts))
			s := &scene{Scenario: part, config: c, target: c.Target, floors: f, index: i, of: len(scenarios), began: time.Now(),
				share: 1 / float64(len(parts)), before: float64(pass) / float64(len(parts))}
			out := s.play(ctx)
			used[i] += s.spent()
			if pass == 0 {
				out.Settings = withRounds(out.Settings, sc.Rounds)
				all = append(all, out)
			} else {
				join(&all[i], out, sc, pass)
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

// join adds a pass of a scenario to those before it, of which there are so many.
func join(to *result.Scenario, next result.Scenario, sc Scenario, before int) {
	if next.Unsupported != "" { // though the first was not
		next.Failed = next.Unsupported
	}
	if next.Settings["stopped at"] != "" {
		to.Settings["stopped at"] = sc.Limit.String()
	}
	if next.Failed != tooLate || samples(*to) == 0 { // what the passes before have measured stands, with fewer rounds
		to.Failed = next.Failed
	}
	for _, x := range next.Series {
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
	for name, n := range next.Counts {
		if to.Counts == nil {
			to.Counts = map[string]int64{}
		}
		to.Counts[name] += n
	}
	offset := int64(0)
	if n := len(to.Timeline); n > 0 {
		offset = to.Timeline[n-1].At
	}
	for _, p := range next.Timeline {
		p.At += offset
		to.Timeline = append(to.Timeline, p)
	}
	joinPhases(to, next.Phases, before)
	to.Verdicts = nil
	judge(sc, to)
}

// joinPhases makes of the medians of a phase their mean: passes are nearly equally long.
func joinPhases(to *result.Scenario, more []result.Phase, before int) {
	for _, p := range more {
		i := slices.IndexFunc(to.Phases, func(q result.Phase) bool { return q.Name == p.Name })
		if i < 0 {
			to.Phases = append(to.Phases, p)
			continue
		}
		to.Phases[i].Median = (to.Phases[i].Median*int64(before) + p.Median) / int64(before+1)
	}
}
