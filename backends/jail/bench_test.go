package jail_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// BenchmarkStart is the time from nothing to the first observation, of `true`, in a jail, and in turn with it of the local
// backend, which isolates nothing. The ratio is of the medians.
func BenchmarkStart(b *testing.B) {
	program := sandboxdtest.Binary(b)
	plain, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: program})
	if err != nil {
		b.Fatal(err)
	}
	theirs := backends.Open("local", plain, backends.Config{})
	defer theirs.Close()
	ours := backends.Open("jail", open(b, b.TempDir()), backends.Config{})
	defer ours.Close()
	named := b.TempDir()
	var jailed, mapped, placed []time.Duration
	for b.Loop() {
		jailed = append(jailed, start(b, ours, sandbox.Spec{ID: "bench"}))
		placed = append(placed, start(b, theirs, sandbox.Spec{ID: "bench"}))
		mapped = append(mapped, start(b, ours, sandbox.Spec{ID: "bench", Workspace: named}))
	}
	local := median(placed)
	b.ReportMetric(micro(local), "µs/local")
	b.ReportMetric(micro(median(jailed)), "µs/jail")
	b.ReportMetric(micro(median(mapped)), "µs/jail-mapped")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(median(jailed))/micro(local), "×local", 1.5)
}

func start(b *testing.B, backend *backends.Backend, spec sandbox.Spec) time.Duration {
	begun := time.Now()
	s, err := backend.Start(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	if err := s.Stop(b.Context(), time.Minute); err != nil {
		b.Fatal(err)
	}
	s.Close()
	return took
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
