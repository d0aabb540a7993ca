package gvisor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// jailed opens the backend that is measured beside this one.
func jailed(b *testing.B) *backends.Backend {
	b.Helper()
	d, err := jail.New(jail.Config{StateDir: b.TempDir(), Sandboxd: sandboxdtest.Binary(b)})
	if err != nil {
		b.Fatal(err)
	}
	backend := backends.Open("jail", d, backends.Config{})
	b.Cleanup(func() { backend.Close() })
	return backend
}

// BenchmarkStart is the time from nothing to the first observation, of `true`, in gVisor and in a jail in turns, with as much
// of the machine as they like. The ratio is of the medians.
func BenchmarkStart(b *testing.B) {
	ours, theirs := backends.Open("gvisor", open(b, b.TempDir()), backends.Config{}), jailed(b)
	defer ours.Close()
	var here, there []time.Duration
	for b.Loop() {
		here, there = append(here, start(b, ours)), append(there, start(b, theirs))
	}
	compare(b, here, there, 40)
}

var unbounded = sandbox.Spec{ID: "bench", Limits: sandbox.Limits{CPU: -1}}

func start(b *testing.B, backend *backends.Backend) time.Duration {
	begun := time.Now()
	s, err := backend.Start(b.Context(), unbounded)
	if err != nil {
		b.Fatal(err)
	}
	command(b, s, "true")
	took := time.Since(begun)
	if err := s.Stop(b.Context(), time.Minute); err != nil {
		b.Fatal(err)
	}
	s.Close()
	return took
}

// BenchmarkTrue is the time that `true` takes, of which nothing is a process, and BenchmarkProcess that of /bin/true.
func BenchmarkTrue(b *testing.B)    { commands(b, "true", 20) }
func BenchmarkProcess(b *testing.B) { commands(b, "/bin/true", 30) }

func commands(b *testing.B, line string, bound float64) {
	ours, theirs := backends.Open("gvisor", open(b, b.TempDir()), backends.Config{}), jailed(b)
	ends(b, ours, "bench")
	ends(b, theirs, "bench")
	here, there := began(b, ours, unbounded), began(b, theirs, unbounded)
	var mine, its []time.Duration
	for b.Loop() {
		mine, its = append(mine, command(b, here, line)), append(its, command(b, there, line))
	}
	compare(b, mine, its, bound)
}

func command(b *testing.B, s *backends.Sandbox, line string) time.Duration {
	begun := time.Now()
	if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: line, Blocking: true}}, nil); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

func compare(b *testing.B, here, there []time.Duration, bound float64) {
	b.ReportMetric(micro(here), "µs/gvisor")
	b.ReportMetric(micro(there), "µs/jail")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(here)/micro(there), "×jail", bound)
}

// micro is the median, in microseconds.
func micro(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2]) / float64(time.Microsecond)
}

// BenchmarkPause is the time that it takes to stop all that a sandbox is made of where it is, and to let it go on.
func BenchmarkPause(b *testing.B) {
	backend := backends.Open("gvisor", open(b, b.TempDir()), backends.Config{})
	ends(b, backend, "bench")
	p := began(b, backend, unbounded).Instance().(backends.Pauser)
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
	b.ReportMetric(micro(resumes), "µs/resume")
	floor.Bound(b, micro(pauses)/1000, "ms/pause", 10)
}
