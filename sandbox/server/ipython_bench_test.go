package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
)

// BenchmarkCell compares a cell in the native form with one of a bare client on the same kernel, in turn.
func BenchmarkCell(b *testing.B) {
	need.Kernel(b)
	mark := fmt.Sprintf("bench%d", os.Getpid())
	box := start(b, func(c *server.Config) {
		withJupyter(c)
		c.Mark = mark
	})
	files, err := filepath.Glob(filepath.Join(os.TempDir(), "sandtree-kernels-"+mark+"-*", "*.json"))
	if err != nil || len(files) != 1 {
		b.Fatal(files, err)
	}
	bare, err := floor.DialKernel(files[0])
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	var ours, bares []time.Duration
	for n := 0; b.Loop(); n++ {
		begun := time.Now()
		if s := box.native(fmt.Sprintf("cell-%d", n), cell("print(1)")); s.Content != "1" {
			b.Fatalf("%+v", s)
		}
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
	floor.Bound(b, us(ours, 50)/us(bares, 50), "cell/bare", 1.5)
}
