// Package report writes what a run of the bench harness found, for three places: a terminal, a pull request (Markdown), and
// a file to look at and to keep (HTML with its plots in it, which needs nothing else and asks nothing of the network).
//
// All three show the same figures in the same words: of each series the percentiles, how far the medians of its rounds lie
// apart (the noise), how it stands to the floor of the bare machine, and whether the targets held. A run that was disturbed
// says so first. Texts of a report may come from what was measured, so none is trusted: each writer escapes for its place.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

// kinds is the order of scenarios, and what each group is called.
var kinds = []struct{ kind, title string }{
	{"startup", "Start"}, {"latency", "Latency"}, {"throughput", "Throughput"}, {"density", "Density"},
	{"recovery", "Recovery"}, {"connections", "Connections"}, {"overload", "Overload"},
}

// A group is the scenarios of one kind.
type group struct {
	Title     string
	Scenarios []result.Scenario
}

// grouped puts scenarios in the order of kinds. Unknown kinds come last, under their own names.
func grouped(r *result.Report) []group {
	var groups []group
	at := map[string]int{}
	add := func(kind, title string) {
		if _, ok := at[kind]; !ok {
			at[kind] = len(groups)
			groups = append(groups, group{Title: title})
		}
	}
	for _, k := range kinds {
		add(k.kind, k.title)
	}
	for _, s := range r.Scenarios {
		add(s.Kind, s.Kind)
		g := &groups[at[s.Kind]]
		g.Scenarios = append(g.Scenarios, s)
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.Scenarios) == 0 })
}

// noise is the noise of a series as it is written: "±3 %" says that the medians of the rounds lie within three percent of
// the middle between the least and the greatest. One round has none.
func noise(s result.Series) string {
	if rounds(s) < 2 {
		return "–"
	}
	half := 100 * s.Summary.Noise() / 2
	if half > 0 && half < 1 {
		return "±<1 %"
	}
	return "±" + strconv.FormatFloat(half, 'f', 0, 64) + " %"
}

// percentiles are p50, p90, p99, p99.9 and the greatest, as text. What needs more samples than there are is a dash: of thirty
// samples p99 would only be another name for the greatest.
func percentiles(x result.Series) []string {
	s := x.Summary
	var texts []string
	for _, p := range []struct {
		v     float64
		needs int64
	}{{s.P50, 1}, {s.P90, 10}, {s.P99, 100}, {s.P999, 1000}, {s.Max, 1}} {
		text := "–"
		if s.Count >= p.needs {
			text = result.Figure(p.v, x.Unit)
		}
		texts = append(texts, text)
	}
	return texts
}

// rounds counts those that have samples.
func rounds(s result.Series) int {
	n := 0
	for _, round := range s.Rounds {
		if len(round) > 0 {
			n++
		}
	}
	return n
}

// samples are those of all rounds that a summary is made of, in ascending order.
func samples(s result.Series) []float64 {
	all := slices.DeleteFunc(slices.Concat(s.Rounds...), func(v float64) bool { return !(v >= 0 && v <= math.MaxFloat64) })
	slices.Sort(all)
	return all
}

func ratio(s result.Series) string {
	if s.Ratio == 0 {
		return "–"
	}
	return result.Figure(s.Ratio, "ratio")
}

// A tally is how many targets held.
type tally struct{ Held, Missed int }

func (t *tally) add(vs []result.Verdict) {
	for _, v := range vs {
		if v.Held {
			t.Held++
		} else {
			t.Missed++
		}
	}
}

// count is the tally of a run.
func count(r *result.Report) (t tally) {
	for _, s := range r.Scenarios {
		t.add(s.Verdicts)
	}
	return t
}

func (t tally) String() string {
	switch all := t.Held + t.Missed; {
	case all == 0:
		return "no targets were asked for"
	case t.Missed == 0 && all == 1:
		return "the target held"
	case t.Missed == 0:
		return fmt.Sprintf("all %d targets held", all)
	default:
		return fmt.Sprintf("%d of %d targets missed", t.Missed, all)
	}
}

// ended lists the scenarios that ended early.
func ended(r *result.Report) (failed []result.Scenario) {
	for _, s := range r.Scenarios {
		if s.Failed != "" {
			failed = append(failed, s)
		}
	}
	return failed
}

// found is what a verdict found, in its unit, and where the rule comes from.
func found(v result.Verdict) string {
	unit := v.Unit
	if unit == "1" && strings.HasPrefix(v.Rule, "ratio") {
		unit = "ratio"
	}
	return result.Figure(v.Found, unit)
}

// pair is a key and its value, of a map in order.
type pair struct{ Key, Value string }

func pairs(m map[string]string) []pair {
	var all []pair
	for k, v := range m {
		all = append(all, pair{k, v})
	}
	slices.SortFunc(all, func(a, b pair) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// counts are those of a scenario, in order, as text.
func counts(m map[string]int64) []pair {
	texts := map[string]string{}
	for k, v := range m {
		texts[k] = result.Figure(float64(v), "1")
	}
	return pairs(texts)
}

// about says in a line each what was measured, with what and where.
func about(r *result.Report) []pair {
	m, p := r.Machine, r.Program
	commit := p.Commit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	program := strings.Join(slices.DeleteFunc([]string{p.Version, commit, map[bool]string{true: "with changes"}[p.Dirty], p.Go},
		func(s string) bool { return s == "" }), ", ")
	target := r.Target.Name
	if r.Target.Kind != "" && r.Target.Kind != target {
		target += " (" + r.Target.Kind + ")"
	}
	for _, s := range pairs(r.Target.Settings) {
		if s.Value != "" {
			target += ", " + s.Key + " " + s.Value
		}
	}
	return []pair{
		{"Target", target},
		{"Program", program},
		{"Machine", fmt.Sprintf("%s, %d cores, %s", m.CPU, m.Cores, result.Figure(float64(m.Memory), "bytes"))},
		{"System", fmt.Sprintf("%s, Linux %s, host %s", m.OS, m.Kernel, m.Hostname)},
		{"Began", fmt.Sprintf("%s, load %.2f, took %s", r.Began.UTC().Format("2006-01-02 15:04 MST"), m.Load, time.Duration(r.Took).Round(time.Second))},
	}
}
