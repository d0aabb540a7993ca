// Package compare says what has changed between two runs of the bench harness, and whether that is more than chance.
//
// The method is benchstat's: medians with confidence intervals, the Mann–Whitney U test, geometric means; it is benchstat's own
// code that does it (golang.org/x/perf/benchmath). Three things are ours, since its samples are independent runs and ours are not:
//
//   - Samples within one round share what the machine did meanwhile, so a thousand of them are not a thousand witnesses. Of five
//     rounds and more, each round is one: its median, and its 99th percentile if it has samples enough. Of fewer rounds, each
//     is cut into blocks in the order in which samples were taken, and each block's median is one.
//   - A run as a whole has its luck too, which no test within one run can see. So a change counts only if it is also greater than the noise
//     that both runs state: how far the medians of the rounds lie apart. And the floors, which nothing but the machine moves, must not explain
//     it: see control. Two runs of the same thing agree within that.
//   - Times of different machines, or of one that was disturbed, say little. There the ratios to the floors that were measured in the
//     same rounds are compared instead, where a series has them.
package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"

	"github.com/sandtree/sandtree/bench/result"
)

// Options say how to compare.
type Options struct {
	Alpha     float64 // probability below which chance is ruled out; 0 means 0.05
	Threshold float64 // part by which something must be worse for Failed, 0.1 is ten percent; 0 means any
	Force     bool    // compare runs of different machines
}

// ErrMachines is in the error for runs of different machines, which are not compared unless that is forced.
var ErrMachines = errors.New("the runs are of different machines")

// A Comparison is what two runs say about what changed from the one to the other.
type Comparison struct {
	Before   Run       `json:"before"`
	After    Run       `json:"after"`
	Alpha    float64   `json:"alpha"`
	Limit    float64   `json:"threshold"`
	Rows     []Row     `json:"rows"`
	Geomeans []Geomean `json:"geomeans,omitempty"`
	Broken   []string  `json:"broken,omitempty"` // what must not be, and was not before, a sentence each
	Notes    []string  `json:"notes,omitempty"`  // what must be known to read the rest, a sentence each

	few     []string // scenarios of few rounds
	control control
}

// A Run is where one side comes from.
type Run struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	Commit string `json:"commit,omitempty"`
	Began  string `json:"began"`
}

// A Verdict is what became of a figure.
type Verdict string

// Verdicts.
const (
	Same   Verdict = "~"      // no more than chance or noise
	Better Verdict = "better" // and more than both
	Worse  Verdict = "worse"
	Unsure Verdict = "?" // there are too few samples to tell anything
)

// A Row is one statistic of one series in both runs.
type Row struct {
	Scenario  string   `json:"scenario"`
	Series    string   `json:"series"`
	Statistic string   `json:"statistic"` // "p50" or "p99"
	Unit      string   `json:"unit"`      // of Before and After: that of the series, or "ratio" to its floor
	Before    Estimate `json:"before"`
	After     Estimate `json:"after"`
	Delta     float64  `json:"delta"` // (After - Before) / Before
	P         float64  `json:"p"`     // of the Mann–Whitney U test
	Noise     float64  `json:"noise"` // part below which no change counts, whatever P says
	Verdict   Verdict  `json:"verdict"`

	more bool // is better
}

// An Estimate is the median of N witnesses and the interval that holds it with a confidence of 95 percent; of fewer than six
// witnesses, which cannot give one, it is from the least to the greatest.
type Estimate struct {
	Center float64 `json:"center"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	N      int     `json:"n"`
}

// A Geomean is the geometric mean of After / Before over the medians of one unit.
type Geomean struct {
	Unit  string  `json:"unit"`
	Ratio float64 `json:"ratio"`
	N     int     `json:"n"`
}

// Compare compares the scenarios and series of the same names. The error is ErrMachines.
func Compare(before, after *result.Report, o Options) (*Comparison, error) {
	if o.Alpha == 0 {
		o.Alpha = 0.05
	}
	c := &Comparison{Before: run(before), After: run(after), Alpha: o.Alpha, Limit: o.Threshold}
	differ := machines(before.Machine, after.Machine)
	if differ != "" && !o.Force {
		return nil, fmt.Errorf("%w: %s", ErrMachines, differ)
	}
	ratios := differ != "" || len(before.Disturbed)+len(after.Disturbed) > 0
	c.control = controlOf(before, after)
	c.note(before, after, differ, ratios)
	for _, was := range before.Scenarios {
		i := slices.IndexFunc(after.Scenarios, func(s result.Scenario) bool { return s.Name == was.Name })
		if i < 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("%s is in the first run only", was.Name))
			continue
		}
		c.scenario(was, after.Scenarios[i], ratios)
	}
	for _, is := range after.Scenarios {
		if !slices.ContainsFunc(before.Scenarios, func(s result.Scenario) bool { return s.Name == is.Name }) {
			c.Notes = append(c.Notes, fmt.Sprintf("%s is in the second run only", is.Name))
		}
	}
	if few := slices.Compact(c.few); len(few) > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("fewer than %d rounds tell little of chance: %s", manyRounds, strings.Join(few, ", ")))
	}
	c.geomeans()
	return c, nil
}

func run(r *result.Report) Run {
	return Run{Name: r.Name, Target: r.Target.Name, Commit: r.Program.Commit, Began: r.Began.UTC().Format("2006-01-02 15:04 MST")}
}

// Failed says whether something became worse by more than the threshold, or is broken.
func (c *Comparison) Failed() bool {
	return len(c.Broken) > 0 || slices.ContainsFunc(c.Rows, c.failed)
}

func (c *Comparison) failed(r Row) bool {
	return r.Verdict == Worse && math.Abs(r.Delta) > c.Limit
}

func (c *Comparison) scenario(was, is result.Scenario, ratios bool) {
	if is.Failed != "" && was.Failed == "" {
		c.Broken = append(c.Broken, fmt.Sprintf("%s ended early: %s", is.Name, is.Failed))
	}
	if is.Unsupported != "" && was.Unsupported == "" {
		c.Broken = append(c.Broken, fmt.Sprintf("%s is no longer supported: %s", is.Name, is.Unsupported))
		return
	}
	for _, name := range []string{"lost", "repeated", "errors"} { // exact: one is too many
		if is.Counts[name] > was.Counts[name] {
			c.Broken = append(c.Broken, fmt.Sprintf("%s: %s went from %d to %d", is.Name, name, was.Counts[name], is.Counts[name]))
		}
	}
	for _, x := range was.Series {
		i := slices.IndexFunc(is.Series, func(s result.Series) bool { return s.Name == x.Name && s.Unit == x.Unit })
		if i < 0 || len(rounds(is.Series[i])) == 0 {
			if is.Failed == "" && len(rounds(x)) > 0 {
				c.Broken = append(c.Broken, fmt.Sprintf("%s: %s was measured before, and is not now", is.Name, x.Name))
			}
			continue
		}
		if n := min(len(x.Rounds), len(is.Series[i].Rounds)); n < manyRounds {
			c.few = append(c.few, is.Name)
		}
		for _, p := range pairsOf(x, is.Series[i], ratios) {
			r := c.control.row(p, x, is.Series[i], c.Alpha)
			r.Scenario, r.Series = is.Name, x.Name
			c.Rows = append(c.Rows, r)
			if far(r) {
				c.Broken = append(c.Broken, fmt.Sprintf("%s: %s went from %s to %s, of too few samples to rule chance out",
					r.Scenario, r.Series, result.Figure(r.Before.Center, r.Unit), result.Figure(r.After.Center, r.Unit)))
			}
		}
	}
}

// row tests one pair of samples.
func (p pair) row(alpha float64) Row {
	thresholds := &benchmath.Thresholds{CompareAlpha: alpha}
	a, b := benchmath.NewSample(slices.Clone(p.before), thresholds), benchmath.NewSample(slices.Clone(p.after), thresholds)
	r := Row{Statistic: p.statistic, Unit: p.unit, Before: estimate(a), After: estimate(b), more: p.more, Noise: p.noise, P: 1, Verdict: Same}
	if r.Before.Center == 0 {
		if r.After.Center == 0 {
			return r
		}
		r.Verdict = Unsure // no part of nothing is anything
		return r
	}
	r.Delta = (r.After.Center - r.Before.Center) / r.Before.Center
	test := benchmath.AssumeNothing.Compare(a, b)
	r.P = test.P
	switch {
	case len(p.before) < fewest || len(p.after) < fewest, p.once:
		r.Verdict = Unsure
	case test.P >= alpha || apart(r) <= p.noise:
	case (r.Delta > 0) == p.more:
		r.Verdict = Better
	default:
		r.Verdict = Worse
	}
	return r
}

// far says whether something is so much worse, by half or to the double, that it counts however few samples there are: a number of
// runtimes is measured once.
func far(r Row) bool {
	return r.Verdict == Unsure && min(r.Before.N, r.After.N) < fewest && r.Before.Center > 0 && (r.Delta > 0) != r.more && (r.After.Center <= 0 || apart(r) >= 1)
}

// apart is by what part the greater is above the less, so that twice as fast is as much as half as fast.
func apart(r Row) float64 {
	low, high := min(r.Before.Center, r.After.Center), max(r.Before.Center, r.After.Center)
	return (high - low) / low
}

// fewest is how many witnesses each side must have: of three on each side even those that are all apart may be so by chance
// once in ten.
const fewest = 4

func estimate(s *benchmath.Sample) Estimate {
	sum := benchmath.AssumeNothing.Summary(s, 0.95)
	e := Estimate{Center: sum.Center, Low: sum.Lo, High: sum.Hi, N: len(s.Values)}
	if math.IsInf(e.Low, 0) || math.IsInf(e.High, 0) {
		e.Low, e.High = s.Values[0], s.Values[len(s.Values)-1]
	}
	return e
}

// geomeans are made of all medians of a unit whose directions are the same.
func (c *Comparison) geomeans() {
	sums, counts := map[string]float64{}, map[string]int{}
	var units []string
	for _, r := range c.Rows {
		if r.Statistic != "p50" || r.Before.Center <= 0 || r.After.Center <= 0 {
			continue
		}
		if counts[r.Unit] == 0 {
			units = append(units, r.Unit)
		}
		sums[r.Unit] += math.Log(r.After.Center / r.Before.Center)
		counts[r.Unit]++
	}
	for _, u := range units {
		if n := counts[u]; n > 1 {
			c.Geomeans = append(c.Geomeans, Geomean{Unit: u, Ratio: math.Exp(sums[u] / float64(n)), N: n})
		}
	}
}
