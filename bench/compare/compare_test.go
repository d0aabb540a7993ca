package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

// A machine makes samples as real ones are: log-normal with a tail; what it does besides lasts for many of them; each round
// and each run has its own luck.
type machine struct {
	*rand.Rand
	run, round float64 // standard deviations of their luck
}

func newMachine(seed uint64) *machine { return &machine{rand.New(rand.NewPCG(seed, 7)), 0.015, 0.025} }

func (m *machine) luck(sigma float64) float64 { return math.Exp(sigma * m.NormFloat64()) }

// series is one run's measurement of what takes so many nanoseconds.
func (m *machine) series(middle float64, rounds, n int) result.Series {
	s := result.Series{Name: "latency", Unit: "ns", Better: "less"}
	middle *= m.luck(m.run)
	for range rounds {
		here, slow := middle*m.luck(m.round), 0.0
		var round []float64
		for range n {
			slow = 0.95*slow + 0.02*m.NormFloat64()
			v := here * math.Exp(slow+0.08*m.NormFloat64())
			if m.IntN(50) == 0 {
				v *= 1 + 3*m.ExpFloat64()
			}
			round = append(round, v)
		}
		s.Rounds = append(s.Rounds, round)
	}
	s.Summary = result.Summarize(s.Rounds)
	return s
}

func (m *machine) report(scenarios, rounds, n int, factor float64) *result.Report {
	r := &result.Report{Name: "quick", Machine: result.Machine{Hostname: "a", CPU: "x", Cores: 2, Memory: 8e9}, Target: result.Target{Name: "local"}}
	for i := range scenarios {
		r.Scenarios = append(r.Scenarios, result.Scenario{Name: fmt.Sprint("s", i), Kind: "latency",
			Series: []result.Series{m.series(300e3*float64(1+i)*factor, rounds, n)}, Counts: map[string]int64{"lost": 0}})
	}
	return r
}

func compare(t *testing.T, a, b *result.Report, o Options) *Comparison {
	t.Helper()
	c, err := Compare(a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tally(c *Comparison, statistic string) (n map[Verdict]int) {
	n = map[Verdict]int{}
	for _, r := range c.Rows {
		if r.Statistic == statistic {
			n[r.Verdict]++
		}
	}
	return n
}

func TestTwoRunsOfTheSameThingAgree(t *testing.T) {
	for rounds, most := range map[int]int{3: 3, 5: 2, 10: 1} { // runs that may fail by chance
		const runs, scenarios = 15, 8
		differ, failed := 0, 0
		for i := range runs {
			m := newMachine(uint64(100*rounds + i))
			c := compare(t, m.report(scenarios, rounds, 200, 1), m.report(scenarios, rounds, 200, 1), Options{Threshold: 0.1})
			n := tally(c, "p50")
			differ += n[Better] + n[Worse]
			if c.Failed() {
				failed++
			}
		}
		if differ > runs*scenarios/20 {
			t.Errorf("%d rounds: %d of %d differ", rounds, differ, runs*scenarios)
		}
		if failed > most {
			t.Errorf("%d rounds: %d of %d runs failed", rounds, failed, runs)
		}
		t.Logf("%d rounds: %d of %d medians differ, %d of %d runs fail", rounds, differ, runs*scenarios, failed, runs)
	}
}

func TestSlowdownIsFound(t *testing.T) {
	for rounds, percent := range map[int]int{3: 80, 5: 95, 10: 95} {
		const runs, scenarios = 5, 8
		found := map[float64]int{}
		for i := range runs {
			for _, factor := range []float64{1.2, 1 / 1.2} {
				m := newMachine(uint64(5000 + 100*rounds + i))
				c := compare(t, m.report(scenarios, rounds, 200, 1), m.report(scenarios, rounds, 200, factor), Options{Threshold: 0.1})
				n := tally(c, "p50")
				if found[factor] += n[map[bool]Verdict{true: Worse, false: Better}[factor > 1]]; c.Failed() != (factor > 1) {
					t.Errorf("%d rounds, factor %.2f: failed is %v", rounds, factor, c.Failed())
				}
			}
		}
		for factor, n := range found {
			if n < runs*scenarios*percent/100 {
				t.Errorf("%d rounds: a factor of %.2f was found in %d of %d", rounds, factor, n, runs*scenarios)
			}
			t.Logf("%d rounds: a factor of %.2f was found in %d of %d", rounds, factor, n, runs*scenarios)
		}
	}
}

// TestDisturbedRunsAreComparedByRatios slows the whole machine down: the ratios to its floors stay.
func TestDisturbedRunsAreComparedByRatios(t *testing.T) {
	make := func(seed uint64, slow, factor float64) *result.Report {
		m := newMachine(seed)
		r := m.report(1, 5, 100, 1)
		floor := m.series(100e3*slow, 5, 100)
		x := m.series(300e3*slow*factor, 5, 100)
		x.Floor = "pipe"
		for i := range x.Rounds {
			x.Ratios = append(x.Ratios, result.Median(x.Rounds[i])/result.Median(floor.Rounds[i]))
		}
		r.Scenarios[0].Series[0] = x
		return r
	}
	a, b, worse := make(1, 1, 1), make(2, 1.5, 1), make(3, 1.5, 1.4)
	if c := compare(t, a, b, Options{}); c.Rows[0].Unit != "ns" || c.Rows[0].Verdict != Same || c.Rows[0].Delta < 0.3 {
		t.Errorf("quiet runs, of which the floor says that the machine was slower: %+v", c.Rows[0])
	}
	b.Disturbed = []string{"others took 40 % of the CPU"}
	c := compare(t, a, b, Options{})
	if r := c.Rows[0]; r.Unit != "ratio" || r.Verdict != Same || len(c.Rows) != 1 || c.Failed() {
		t.Errorf("disturbed: %+v", c.Rows)
	}
	if !strings.Contains(strings.Join(c.Notes, "\n"), "the second run was disturbed: others took 40 % of the CPU") {
		t.Error(c.Notes)
	}
	worse.Disturbed = b.Disturbed
	if c := compare(t, a, worse, Options{}); c.Rows[0].Verdict != Worse || !c.Failed() {
		t.Errorf("disturbed and worse: %+v", c.Rows)
	}
}

func TestOtherMachines(t *testing.T) {
	m := newMachine(1)
	a, b := m.report(1, 5, 20, 1), m.report(1, 5, 20, 1)
	b.Machine.CPU, b.Machine.Cores = "y", 4
	_, err := Compare(a, b, Options{})
	if !errors.Is(err, ErrMachines) || !strings.Contains(err.Error(), `processors "x" and "y", cores "2" and "4"`) {
		t.Error(err)
	}
	if c := compare(t, a, b, Options{Force: true}); len(c.Rows) != 1 || !strings.Contains(c.Notes[0], "different machines") {
		t.Errorf("%+v", c)
	}
	b.Machine = a.Machine
	b.Machine.Memory += 1e6 // what firmware takes is not the same each time
	compare(t, a, b, Options{})
}

func TestThresholdAndDirections(t *testing.T) {
	steady := func(better string, v float64) *result.Report {
		x := result.Series{Name: "x", Unit: "1/s", Better: better, Rounds: [][]float64{{v}, {v * 1.001}, {v * 0.999}, {v * 1.002}, {v}}}
		return &result.Report{Scenarios: []result.Scenario{{Name: "s", Series: []result.Series{x}}}}
	}
	for _, c := range []struct {
		better    string
		v         float64
		threshold float64
		want      Verdict
		failed    bool
	}{
		{"less", 108, 0.1, Worse, false}, {"less", 112, 0.1, Worse, true}, {"less", 108, 0, Worse, true}, {"less", 80, 0, Better, false},
		{"more", 112, 0, Better, false}, {"more", 80, 0.1, Worse, true}, {"less", 100.5, 0, Same, false},
	} {
		got := compare(t, steady(c.better, 100), steady(c.better, c.v), Options{Threshold: c.threshold})
		if got.Rows[0].Verdict != c.want || got.Failed() != c.failed {
			t.Errorf("%+v: %s, %v", c, got.Rows[0].Verdict, got.Failed())
		}
	}
}

func TestWhatMustBeExact(t *testing.T) {
	m := newMachine(1)
	a, b := m.report(2, 5, 20, 1), m.report(2, 5, 20, 1)
	b.Scenarios[0].Counts["lost"] = 1
	b.Scenarios[1].Failed = "the server \x1b[2J died | <b>"
	c := compare(t, a, b, Options{Threshold: 10})
	if !c.Failed() || len(c.Broken) != 2 || c.Broken[0] != "s0: lost went from 0 to 1" {
		t.Error(c.Broken)
	}
	var term, md strings.Builder
	if err := errors.Join(c.Terminal(&term, false), c.Markdown(&md)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(term.String(), "\x1b") || strings.Contains(md.String(), "<b>") || !strings.Contains(md.String(), "❌") {
		t.Errorf("%s\n%s", term.String(), md.String())
	}
	if c := compare(t, b, b, Options{}); c.Failed() {
		t.Error("what was broken before is no news")
	}
}

// What cannot be measured any more must not look as if all were well.
func TestWhatIsGoneOrFarOff(t *testing.T) {
	m := newMachine(1)
	a := m.report(1, 5, 20, 1)
	a.Scenarios[0].Series = append(a.Scenarios[0].Series, result.Series{Name: "runtimes", Unit: "1", Better: "more", Rounds: [][]float64{{200}}})
	for want, change := range map[string]func(*result.Scenario){
		"":                                   func(*result.Scenario) {},
		"s0 is no longer supported: x":       func(s *result.Scenario) { *s = result.Scenario{Name: "s0", Unsupported: "x"} },
		"s0: runtimes was measured before":   func(s *result.Scenario) { s.Series = s.Series[:len(s.Series)-1] },
		"s0: runtimes went from 200 to 20, ": func(s *result.Scenario) { s.Series[len(s.Series)-1].Rounds = [][]float64{{20}} },
		"s0: runtimes went from 200 to 0, ":  func(s *result.Scenario) { s.Series[len(s.Series)-1].Rounds = [][]float64{{0}} },
	} {
		b := newMachine(1).report(1, 5, 20, 1)
		b.Scenarios[0].Series = slices.Clone(a.Scenarios[0].Series)
		change(&b.Scenarios[0])
		c := compare(t, a, b, Options{Threshold: 0.1})
		if got := strings.Join(c.Broken, "\n"); !strings.HasPrefix(got, want) || (want == "") != (got == "") || c.Failed() != (want != "") {
			t.Errorf("want %q: %q, failed %v", want, got, c.Failed())
		}
	}
}

func TestOddSeries(t *testing.T) {
	of := func(rounds ...[]float64) *result.Report {
		return &result.Report{Scenarios: []result.Scenario{{Name: "s", Series: []result.Series{{Name: "x", Unit: "ns", Better: "less", Rounds: rounds}}}}}
	}
	zero, one := of([]float64{0, 0, 0, 0, 0, 0, 0, 0}), of([]float64{1})
	all := []*result.Report{of(), of(nil), zero, one, of([]float64{math.NaN(), math.Inf(1)}), of([]float64{5, 5, 5, 5, 5, 5, 5, 5})}
	for _, a := range all {
		for _, b := range all {
			c := compare(t, a, b, Options{})
			var out strings.Builder
			if err := errors.Join(c.Terminal(&out, true), c.Markdown(&out), c.JSON(&out)); err != nil {
				t.Error(err)
			}
			for _, r := range c.Rows {
				if (r.Verdict == Better || r.Verdict == Worse) && (a == one || b == one || a == zero) {
					t.Errorf("%+v", r)
				}
			}
		}
	}
}

func TestTerminalAndJSON(t *testing.T) {
	m := newMachine(3)
	c := compare(t, m.report(3, 5, 250, 1), m.report(3, 5, 250, 1.3), Options{Threshold: 0.1})
	var term, js strings.Builder
	if err := errors.Join(c.Terminal(&term, false), c.JSON(&js)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(term.String()) {
		if len([]rune(line)) > 101 {
			t.Errorf("long: %s", line)
		}
	}
	var back struct {
		Failed bool
		Rows   []Row
	}
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil || !back.Failed || len(back.Rows) != len(c.Rows) {
		t.Errorf("%v %s", err, js.String())
	}
	t.Log("\n" + term.String())
}
