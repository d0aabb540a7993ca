package jail_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// BenchmarkStart is the time from nothing to the first observation, of `true`, in a jail, and in turn with it of the local
// backend, which isolates nothing. The ratio is of the medians.
func BenchmarkStart(b *testing.B) {
	against(b, "jail", 1.5, sandbox.Spec{ID: "bench"}, open(b, b.TempDir()))
}

// BenchmarkStartNamed is the same with a workspace that is named, for which root needs a mapping.
func BenchmarkStartNamed(b *testing.B) {
	against(b, "jail-named", 2, sandbox.Spec{ID: "bench", Workspace: b.TempDir()}, open(b, b.TempDir()))
}

// BenchmarkStartDisk is the same with a disk of its own.
func BenchmarkStartDisk(b *testing.B) {
	need.Root(b)
	d := stored(b, b.TempDir(), "image")
	first := backends.Open("jail", d, backends.Config{})
	start(b, first, sandbox.Spec{ID: "first"}) // makes the file system that the others copy
	against(b, "jail-disk", 3, sandbox.Spec{ID: "bench"}, d)
}

// against starts sandboxes of a driver and of the local one in turns.
func against(b *testing.B, name string, bound float64, spec sandbox.Spec, d backends.Driver) {
	b.Helper()
	plain, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: sandboxdtest.Binary(b)})
	if err != nil {
		b.Fatal(err)
	}
	theirs, ours := backends.Open("local", plain, backends.Config{}), backends.Open("jail", d, backends.Config{})
	defer theirs.Close()
	defer ours.Close()
	var jailed, placed []time.Duration
	for b.Loop() {
		jailed = append(jailed, start(b, ours, spec))
		placed = append(placed, start(b, theirs, sandbox.Spec{ID: "bench"}))
	}
	b.ReportMetric(micro(median(placed)), "µs/local")
	b.ReportMetric(micro(median(jailed)), "µs/"+name)
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(median(jailed))/micro(median(placed)), "×local", bound)
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

// BenchmarkPause is the time that it takes to stop all processes of a sandbox where they are, and to let them go on: in
// milliseconds, of which each may take one.
func BenchmarkPause(b *testing.B) {
	backend := bounded(b, "bench")
	p := began(b, backend, sandbox.Spec{ID: "bench"}).Instance().(backends.Pauser)
	var pauses, resumes []time.Duration
	for b.Loop() {
		begun := time.Now()
		if err := p.Pause(b.Context()); err != nil {
			b.Fatal(err)
		}
		paused := time.Now()
		if err := p.Resume(b.Context()); err != nil {
			b.Fatal(err)
		}
		pauses, resumes = append(pauses, paused.Sub(begun)), append(resumes, time.Since(paused))
	}
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(median(pauses))/1000, "ms/pause", 1)
	floor.Bound(b, micro(median(resumes))/1000, "ms/resume", 1)
}
