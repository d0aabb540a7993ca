package figures

import (
	"testing"
	"time"
)

// BenchmarkAdd is what one action pays for being counted, in a histogram and among the outcomes.
func BenchmarkAdd(b *testing.B) {
	h := NewHistogram(seconds(100*time.Microsecond, time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, time.Second))
	var o Outcomes
	b.ReportAllocs()
	for b.Loop() {
		h.Add(int64(3 * time.Millisecond))
		o.Add(nil)
	}
}
