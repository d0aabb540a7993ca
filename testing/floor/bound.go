package floor

import (
	"os"
	"strconv"
	"testing"
)

// Bound reports a figure of a benchmark and fails it where the figure is beyond its bound: more than limit, or, of what
// should be large, less than -limit. It is for ratios of what was measured in one run. BENCH_BOUNDS=off only reports.
// BENCH_SLACK, a factor, widens the bounds for machines that do other things meanwhile.
func Bound(b *testing.B, figure float64, unit string, limit float64) {
	b.Helper()
	b.ReportMetric(figure, unit)
	if os.Getenv("BENCH_BOUNDS") == "off" {
		return
	}
	if slack, err := strconv.ParseFloat(os.Getenv("BENCH_SLACK"), 64); err == nil && slack > 1 {
		if limit *= slack; limit < 0 {
			limit /= slack * slack
		}
	}
	switch {
	case limit >= 0 && figure > limit:
		b.Errorf("%.2f %s, want at most %g", figure, unit, limit)
	case limit < 0 && figure < -limit:
		b.Errorf("%.2f %s, want at least %g", figure, unit, -limit)
	}
}
