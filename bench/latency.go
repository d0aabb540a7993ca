package bench

import (
	"context"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
)

// latency is one client of one runtime that asks for one thing again and again.
func latency() kind {
	return kind{
		keys:  []string{"op", "samples", "warmup"},
		check: func(s *Scenario) error { return oneOf("op", s.Op, Ops()...) },
		play: func(ctx context.Context, s *scene) error {
			rt, err := s.start(ctx, target.Wish{})
			if err != nil {
				return err
			}
			o := ops[s.Op]
			do, err := o.prepare(ctx, s, rt)
			if err != nil {
				return err
			}
			return s.inTurn(ctx, "latency", o.floor, do)
		},
	}
}

// turn is how often one of two runs before it is the other's turn: often enough that it runs as in a closed loop, with its
// own code in the caches, and so briefly that what the machine does besides hits both.
const turn = 50

// inTurn measures a function and its floor, in rounds, turn about.
func (s *scene) inTurn(ctx context.Context, name, floor string, do func(context.Context) error) error {
	for range s.Warmup {
		if err := do(ctx); err != nil {
			return err
		}
	}
	s.ready()
	var ratios []float64
	for round := range s.Rounds {
		has := s.floors.begin(floor)
		for left := s.Samples; left > 0 && !s.late(); left -= turn {
			n := min(left, turn)
			for range n {
				begun := time.Now()
				if err := do(ctx); err != nil {
					return err
				}
				s.put(name, "ns", "less", round, float64(time.Since(begun)))
				if s.late() {
					break
				}
			}
			if has {
				if err := s.floors.measure(floor, n); err != nil {
					return err
				}
			}
			s.tell((float64(round)+float64(s.Samples-left+n)/float64(s.Samples))/float64(s.Rounds), s.sofar(name, round))
		}
		if m := s.roundMedian(name, round); has && m > 0 && s.floors.median(floor) > 0 {
			ratios = append(ratios, m/s.floors.median(floor))
		}
	}
	s.compared(name, floor, ratios)
	return nil
}

// compared notes how a series stands to its floor.
func (s *scene) compared(name, floor string, ratios []float64) {
	if len(ratios) == 0 {
		return
	}
	x := s.series(name, "ns", "less")
	x.Floor, x.Ratio, x.Ratios = floor, result.Median(ratios), ratios
}

func (s *scene) roundMedian(name string, round int) float64 {
	for _, x := range s.out.Series {
		if x.Name == name && round < len(x.Rounds) {
			return result.Median(x.Rounds[round])
		}
	}
	return 0
}

// sofar is the median of a round by now, for people.
func (s *scene) sofar(name string, round int) string {
	return "p50 " + result.Figure(s.roundMedian(name, round), "ns")
}
