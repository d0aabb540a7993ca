package report

import (
	"math"

	"github.com/sandtree/sandtree/bench/result"
)

// A scale maps values to places along an axis.
type scale struct {
	least, most float64 // values at the ends
	from, to    float64 // places of the ends
	log         bool
}

// wide is how many times the middle the greatest value must be for a logarithmic axis: on a linear one the body of the
// distribution would be a line on the ground.
const wide = 12

// scaleOf is a scale of values whose ends are round. Linear ones begin at 0, so that lengths compare as figures do.
func scaleOf(least, most float64, log bool, from, to float64) scale {
	return scaleIn(5, least, most, log, from, to)
}

// scaleIn is scaleOf for an axis of n parts at most, if it is linear.
func scaleIn(n int, least, most float64, log bool, from, to float64) scale {
	s := scale{from: from, to: to, log: log && least > 0 && most > least}
	if s.log {
		s.least, s.most = math.Pow(10, math.Floor(4*math.Log10(least))/4), math.Pow(10, math.Ceil(4*math.Log10(most))/4)
		return s
	}
	if !(most > 0) || math.IsInf(most, 0) {
		most = 1
	}
	unit := step(most, n)
	s.most = unit * math.Ceil(most/unit-1e-9)
	return s
}

func (s scale) at(v float64) float64 {
	low, high, x := s.least, s.most, v
	if s.log {
		low, high, x = math.Log(low), math.Log(high), math.Log(max(v, s.least))
	}
	if high == low {
		return s.from
	}
	return s.from + (min(max(x, low), high)-low)/(high-low)*(s.to-s.from)
}

// step is the least of 1, 2, 5, 10, … that divides most into at most n parts.
func step(most float64, n int) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, m := range []float64{1, 2, 5} {
		if most/(m*unit) <= float64(n)*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// ticks are the values at which an axis is labelled.
func (s scale) ticks(n int) (all []float64) {
	if !s.log {
		unit := step(s.most, n)
		for i := 0; i <= 2*n && float64(i)*unit <= s.most*(1+1e-9); i++ {
			all = append(all, float64(i)*unit)
		}
		return all
	}
	for _, mantissas := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		all = nil
		for e := math.Floor(math.Log10(s.least)); e <= math.Ceil(math.Log10(s.most)); e++ {
			for _, m := range mantissas {
				if v := m * math.Pow(10, e); v >= s.least*(1-1e-9) && v <= s.most*(1+1e-9) {
					all = append(all, v)
				}
			}
		}
		if len(all) <= n+1 {
			return all
		}
	}
	return thin(all, n)
}

// thin leaves every second, third, … of too many ticks.
func thin(all []float64, n int) (kept []float64) {
	every := (len(all) + n - 1) / n
	for i := 0; i < len(all); i += every {
		kept = append(kept, all[i])
	}
	return kept
}

// vertical draws an axis of values at the left of the box, with lines across it.
func (c *canvas) vertical(s scale, unit string, left, right float64, n int) {
	for _, v := range s.ticks(n) {
		y := s.at(v)
		c.line(left, y, right, y, "grid")
		c.text(left-8, y+4, "end", "tick", result.Figure(v, unit))
	}
}

// horizontal draws an axis of values below the box, with lines through it.
func (c *canvas) horizontal(s scale, unit string, top, bottom float64, n int) {
	for _, v := range s.ticks(n) {
		x := s.at(v)
		c.line(x, top, x, bottom, "grid")
		c.text(x, bottom+18, "middle", "tick", result.Figure(v, unit))
	}
}
