package bench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sandtree/sandtree/bench/result"
)

// A Rule is a threshold: a figure of a series, or a count, and how it must compare with a number.
type Rule struct {
	Text    string
	Source  string  // where it comes from
	Series  string  // "" is the first of the scenario
	Figure  string  // "p50" … "p99.9", "min", "mean", "max", "ratio", "noise", "samples", or the name of a count
	Compare string  // "<", "<=", ">", ">=", "=="
	Value   float64 // in the unit of the series
	unit    string  // of Value, as it was written: "ns", "bytes" or "" for any
}

var figures = map[string]func(result.Series) float64{
	"min": func(s result.Series) float64 { return s.Summary.Min }, "mean": func(s result.Series) float64 { return s.Summary.Mean },
	"max": func(s result.Series) float64 { return s.Summary.Max }, "p50": func(s result.Series) float64 { return s.Summary.P50 },
	"p90": func(s result.Series) float64 { return s.Summary.P90 }, "p95": func(s result.Series) float64 { return s.Summary.P95 },
	"p99": func(s result.Series) float64 { return s.Summary.P99 }, "p99.9": func(s result.Series) float64 { return s.Summary.P999 },
	"samples": func(s result.Series) float64 { return float64(s.Summary.Count) },
	"noise":   func(s result.Series) float64 { return s.Summary.Noise() },
	"ratio":   func(s result.Series) float64 { return s.Ratio },
}

var comparisons = map[string]func(a, b float64) bool{
	"<": func(a, b float64) bool { return a < b }, "<=": func(a, b float64) bool { return a <= b },
	">": func(a, b float64) bool { return a > b }, ">=": func(a, b float64) bool { return a >= b },
	"==": func(a, b float64) bool { return a == b },
}

// ParseRule reads a rule: [SERIES:] FIGURE COMPARISON VALUE, as "p99 < 5ms", "memory: max < 2 GB", "ratio <= 2", "lost == 0".
// A word that is no figure is a count. Times end in a unit of time, sizes in one of bytes, percents may end in "%".
func ParseRule(text string) (Rule, error) {
	r := Rule{Text: text, Source: "sandtree"}
	rest := text
	if series, after, ok := strings.Cut(text, ":"); ok {
		r.Series, rest = strings.TrimSpace(series), after
	}
	at := strings.IndexAny(rest, "<>=")
	if at < 0 {
		return r, errors.New("want FIGURE COMPARISON VALUE, as in \"p99 < 5ms\"")
	}
	r.Figure = strings.TrimSpace(rest[:at])
	value := rest[at:]
	end := 1
	if len(value) > 1 && value[1] == '=' {
		end = 2
	}
	r.Compare, value = value[:end], strings.TrimSpace(value[end:])
	if comparisons[r.Compare] == nil {
		return r, fmt.Errorf("%q compares nothing; want <, <=, >, >= or ==", r.Compare)
	}
	if r.Figure == "" || strings.ContainsAny(r.Figure, " \t\n\"") {
		return r, fmt.Errorf("%q is no figure; want %s or a count", r.Figure, figureNames)
	}
	var err error
	if r.Value, r.unit, err = parseValue(value); err != nil {
		return r, err
	}
	if figures[r.Figure] == nil && (r.unit != "" || percentile(r.Figure)) { // a count of that name would never be told
		err = fmt.Errorf("%q is no figure; want %s, or a count, which is a number alone", r.Figure, figureNames)
	}
	return r, err
}

const figureNames = "p50, p90, p95, p99, p99.9, min, mean, max, ratio, noise, samples"

// percentile says whether a word is meant to be one: p and a number.
func percentile(word string) bool {
	_, err := strconv.ParseFloat(strings.TrimPrefix(word, "p"), 64)
	return err == nil && strings.HasPrefix(word, "p")
}

// parseValue reads a number with its unit.
func parseValue(s string) (v float64, unit string, err error) {
	if v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "%")), 64); err == nil {
		if v != v || v < 0 {
			return 0, "", fmt.Errorf("%q is no value", s)
		}
		return v, "", nil
	}
	if d, err := time.ParseDuration(strings.ReplaceAll(s, " ", "")); err == nil && d >= 0 {
		return float64(d), "ns", nil
	}
	if n, err := humanize.ParseBytes(s); err == nil {
		return float64(n), "bytes", nil
	}
	return 0, "", fmt.Errorf("%q is no value; want a number, a time such as 5ms, or a size such as 2 GB", s)
}

// judge says whether the rule holds for a scenario; it is not ok where the scenario has nothing of the kind.
func (r Rule) judge(s result.Scenario) (v result.Verdict, ok bool) {
	v = result.Verdict{Rule: r.Text, Source: r.Source}
	figure := figures[r.Figure]
	if figure == nil {
		n, counted := s.Counts[r.Figure]
		counted = counted && !unmeasured(s)
		v.Found, v.Unit = float64(n), "1"
		v.Held = comparisons[r.Compare](v.Found, r.Value)
		return v, counted
	}
	i := slices.IndexFunc(s.Series, func(x result.Series) bool { return r.Series == "" || x.Name == r.Series })
	if i < 0 || s.Series[i].Summary.Count == 0 || r.Figure == "ratio" && s.Series[i].Ratio == 0 {
		return v, false
	}
	series := s.Series[i]
	v.Found, v.Unit = figure(series), series.Unit
	if r.Figure == "ratio" || r.Figure == "noise" || r.Figure == "samples" {
		v.Unit = "1"
	}
	if r.unit != "" && r.unit != v.Unit {
		return v, false
	}
	v.Held = comparisons[r.Compare](v.Found, r.Value)
	return v, true
}

// unmeasured says whether nothing was: then a count of 0 says nothing.
func unmeasured(s result.Scenario) bool {
	return !slices.ContainsFunc(s.Series, func(x result.Series) bool { return x.Summary.Count > 0 })
}

// published are the targets that OpenHands states, by the kind of a scenario and what tells the series apart.
var published = []struct {
	kind, of, rule, source string
}{
	{"startup", "cold", "max < 30s", "OpenHands target R195"},
	{"latency", "", "mean < 1000ms", "OpenHands target R196"},
	{"throughput", "", "throughput: mean > 10", "OpenHands target R197"},
	{"throughput", "open", "cpu: mean < 80%", "OpenHands target R198"},
	{"throughput", "open", "memory: max < 2 GB", "OpenHands target R199"},
	{"connections", "", "streams > 100", "OpenHands target R200"},
}

// rules are those of a scenario: its own, and the published ones that fit it.
func (s Scenario) rules() []Rule {
	var all []Rule
	for _, text := range s.Thresholds {
		if r, err := ParseRule(text); err == nil { // checked when it was read
			all = append(all, r)
		}
	}
	for _, p := range published {
		if p.kind != s.Kind || p.of != "" && p.of != s.From && p.of != s.Mode || p.kind == "connections" && s.Streams <= 100 {
			continue
		}
		if r, err := ParseRule(p.rule); err == nil {
			r.Source = p.source
			all = append(all, r)
		}
	}
	return all
}

// judge fills in the verdicts.
func judge(sc Scenario, out *result.Scenario) {
	for _, r := range sc.rules() {
		if v, ok := r.judge(*out); ok {
			out.Verdicts = append(out.Verdicts, v)
		} else if r.Source == "sandtree" && out.Failed == "" { // what was asked for and cannot be told has not held
			v.Held = false
			out.Verdicts = append(out.Verdicts, v)
		}
	}
}
