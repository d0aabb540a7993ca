package compare

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

// TestFloorsAreTheControl moves what is measured and the bare machine, each alone and both.
func TestFloorsAreTheControl(t *testing.T) {
	steady := func(name string, v float64) result.Series {
		return result.Series{Name: name, Unit: "ns", Better: "less", Rounds: [][]float64{{v}, {v * 1.001}, {v * 0.999}, {v * 1.002}, {v}}}
	}
	run := func(v, own, other float64) *result.Report {
		with, without := steady("x", v), steady("y", v)
		with.Floor, with.Ratios = "pipe", []float64{v / own, v / own, v / own, v / own, v / own}
		return &result.Report{Floors: []result.Series{steady("pipe", own), steady("disk", other), steady("exec", other)},
			Scenarios: []result.Scenario{{Name: "s", Series: []result.Series{with, without}}}}
	}
	for _, c := range []struct {
		v, own, other float64
		x, y          Verdict
		note          string
	}{
		{120, 10, 10, Worse, Worse, ""}, {80, 10, 10, Better, Better, ""},
		{120, 13, 10, Same, Worse, `"pipe" by 30 %`}, {120, 7, 10, Worse, Worse, `"pipe" by 43 %`}, {100, 13, 10, Same, Same, `"pipe"`},
		{120, 10, 15, Worse, Same, `"disk" by 50 %`}, {120, 13, 15, Same, Same, `"disk" by 50 %, "exec" by 50 %, "pipe" by 30 %`},
		{200, 13, 13, Worse, Worse, `"pipe" by 30 %`}, // more than the machine explains
	} {
		got := compare(t, run(100, 10, 10), run(c.v, c.own, c.other), Options{})
		if got.Rows[0].Verdict != c.x || got.Rows[1].Verdict != c.y {
			t.Errorf("%+v: %s and %s", c, got.Rows[0].Verdict, got.Rows[1].Verdict)
		}
		if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, c.note) || (c.note == "") != !strings.Contains(notes, "bare machine") {
			t.Errorf("%+v: %s", c, notes)
		}
	}
}

func TestNoFloorsNoControl(t *testing.T) {
	m := newMachine(9)
	a, b := m.report(1, 5, 20, 1), m.report(1, 5, 20, 1)
	a.Floors = []result.Series{{Name: "pipe", Unit: "ns"}, {Name: "gone", Unit: "ns", Rounds: [][]float64{{1}}}}
	b.Floors = []result.Series{{Name: "pipe", Unit: "ns", Rounds: [][]float64{{0}}}}
	if c := compare(t, a, b, Options{}); c.control.middle != 0 || c.control.of(result.Series{Floor: "pipe"}) != 0 {
		t.Errorf("%+v", c.control)
	}
}
