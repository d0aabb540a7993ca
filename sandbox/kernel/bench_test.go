package kernel

import (
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
)

// BenchmarkCell compares a cell with one of a bare client, on the same kernel and in turn.
func BenchmarkCell(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "1")
	k, _ := ks.existing("")
	p := k.current()
	b.ReportMetric(floor.Cells(b, p.launch.dir.path+"/"+p.launch.id+".json", func(int) {
		if _, err := ks.Run(b.Context(), "", sandbox.IPythonArgs{Code: "print(1)", IncludeExtra: true}, 0, "/", nil); err != nil {
			b.Fatal(err)
		}
	}), "cell/bare")
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
