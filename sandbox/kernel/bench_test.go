package kernel

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
)

// BenchmarkCell compares a cell with one of a bare client, on the same kernel and in turn.
func BenchmarkCell(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "1")
	k, _ := ks.existing("")
	p := k.current()
	other, err := floor.DialKernel(p.launch.dir.path + "/" + p.launch.id + ".json")
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	var ours, bares []time.Duration
	for b.Loop() {
		begun := time.Now()
		if _, err := ks.Run(b.Context(), "", sandbox.IPythonArgs{Code: "print(1)", IncludeExtra: true}, 0, "/", nil); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(begun))
		begun = time.Now()
		if err := other.Run("print(1)"); err != nil {
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
	b.ReportMetric(us(ours, 50)/us(bares, 50), "cell/bare")
}

// BenchmarkStart is the time until a new kernel has performed its first cell.
func BenchmarkStart(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "1")
	for b.Loop() {
		if err := ks.Restart(b.Context(), "", "/"); err != nil {
			b.Fatal(err)
		}
		runCell(b, ks, "1")
	}
}

// BenchmarkOutput is a cell that prints a megabyte.
func BenchmarkOutput(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "x = ('x' * 99 + '\\n') * 10000")
	b.SetBytes(1e6)
	for b.Loop() {
		if got := len(runCell(b, ks, "print(x)")); got != 1e6-1 {
			b.Fatal(got)
		}
	}
}
