package result

import (
	"math"
	"testing"
)

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{312_400, "ns", "312 µs"}, {1_450_000, "ns", "1.45 ms"}, {23.7e6, "ns", "23.7 ms"}, {9.1e9, "ns", "9.10 s"}, {90e9, "ns", "90 s"},
		{1800e9, "ns", "1,800 s"}, {0, "ns", "0 s"}, {40, "ns", "40 ns"}, {0.4, "ns", "400 ps"},
		{13.1e6, "bytes", "13.1 MB"}, {2_900_000, "bytes", "2.90 MB"}, {512, "bytes", "512 B"}, {0.25, "bytes", "0.25 B"}, {0, "bytes", "0 B"},
		{4123.4, "1/s", "4,123/s"}, {0.5, "1/s", "0.50/s"}, {38.21, "percent", "38.2 %"}, {1.52, "ratio", "1.52×"},
		{17, "1", "17"}, {15.000000000000002e9, "ns", "15 s"}, {1e6, "1", "1,000,000"}, {3, "pages", "3 pages"}, {0.0001, "1", "0.0001"},
		{math.NaN(), "ns", "–"}, {math.Inf(1), "1", "–"}, {1e300, "1", "1e+300"}, {-2.5e6, "ns", "-2.50 ms"},
	} {
		if got := Figure(c.v, c.unit); got != c.want {
			t.Errorf("Figure(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
