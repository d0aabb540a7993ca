package floor

import (
	"slices"
	"testing"
	"time"
)

// Cells measures cells that print 1, which cell performs, against those of a bare client on the same kernel, that of the
// connection file, in turn. It reports the figures of both and gives the ratio of their medians.
func Cells(b *testing.B, connection string, cell func(n int)) (ratio float64) {
	b.Helper()
	bare, err := DialKernel(connection)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	var ours, bares []time.Duration
	for n := 0; b.Loop(); n++ {
		begun := time.Now()
		cell(n)
		ours = append(ours, time.Since(begun))
		begun = time.Now()
		if err := bare.Run("print(1)"); err != nil {
			b.Fatal(err)
		}
		bares = append(bares, time.Since(begun))
	}
	slices.Sort(ours)
	slices.Sort(bares)
	us := func(all []time.Duration, p int) float64 { return float64(all[len(all)*p/100].Nanoseconds()) / 1e3 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(ours, 50), "cell-p50-µs")
	b.ReportMetric(us(ours, 95), "cell-p95-µs")
	b.ReportMetric(us(bares, 50), "bare-p50-µs")
	b.ReportMetric(us(bares, 95), "bare-p95-µs")
	return us(ours, 50) / us(bares, 50)
}
