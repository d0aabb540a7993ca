package supervisor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
)

// turn is how often each function runs before it is the next one's turn: often enough that it runs as in a closed loop,
// with its own code in the caches, and so briefly that what the machine does besides hits them all.
const turn = 50

// interleave runs the functions in turn and gives the median of each.
func interleave(b *testing.B, funcs ...func()) []time.Duration {
	times := make([][]time.Duration, len(funcs))
	for b.Loop() {
		for i, f := range funcs {
			for range turn {
				begun := time.Now()
				f()
				times[i] = append(times[i], time.Since(begun))
			}
		}
	}
	medians := make([]time.Duration, len(funcs))
	for i, t := range times {
		slices.Sort(t)
		medians[i] = t[len(t)/2]
	}
	return medians
}

// The bounds of the whole path against the floor: of a bash as it comes on a terminal, and of one that is stripped of
// line editing and echo. The second is there to see that it gets no worse; where the difference goes is in
// docs/performance.md.
const (
	maxTrue     = 2
	maxStripped = 4
)

// BenchmarkTrue is the whole path of one `true`: System, steward, runtime, journal, transport, sandboxd, a persistent
// bash, and back. Beside it, in turn, the floor: a minimal server with one bash on a terminal, and no journal; a bare bash on a pipe is reported.
func BenchmarkTrue(b *testing.B) {
	ordinary, stripped := startFloor(b, floor.Ordinary), startFloor(b, floor.Stripped)
	pipe, closePipe := floor.StartPipe(b)
	defer closePipe()
	rt := openRuntime(b, openSystem(b, stateDir(b), nil), sandbox.Spec{ID: "a"})
	act := sandbox.Action{Args: sandbox.RunArgs{Command: "true", Blocking: true}}
	m := interleave(b,
		func() {
			if _, err := rt.Do(context.Background(), act, nil); err != nil {
				b.Fatal(err)
			}
		},
		func() { must(b, ordinary) },
		func() { must(b, stripped) },
		func() { must(b, pipe) },
	)
	b.ReportMetric(micro(m[1]), "µs/floor")
	b.ReportMetric(micro(m[2]), "µs/stripped")
	b.ReportMetric(micro(m[3]), "µs/pipe")
	floor.Bound(b, float64(m[0])/float64(m[1]), "×floor", maxTrue)
	floor.Bound(b, float64(m[0])/float64(m[2]), "×stripped", maxStripped)
	floor.Bound(b, micro(m[0])/1000, "ms/true", 1)
	b.ReportMetric(0, "ns/op") // of the three together, which says nothing
}

func startFloor(b *testing.B, kind string) (run func(string) (string, error)) {
	dial, closeServer := floor.StartServer(b, kind)
	run, closeClient := floor.Client(dial)
	b.Cleanup(func() { closeClient(); closeServer() })
	return run
}

func must(b *testing.B, run func(string) (string, error)) {
	if _, err := run("true"); err != nil {
		b.Fatal(err)
	}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// BenchmarkTrueNamed is the same with ids of the caller's, which have to be looked up in the journal.
func BenchmarkTrueNamed(b *testing.B) {
	rt := openRuntime(b, openSystem(b, stateDir(b), nil), sandbox.Spec{ID: "a"})
	for b.Loop() {
		act := sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.RunArgs{Command: "true", Blocking: true}}
		if _, err := rt.Do(context.Background(), act, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHundred is 100 runtimes that are kept busy by a client each: what they do together against what one does that
// is alone, and how far the slowest falls behind the mean. An iteration is 100 actions.
func BenchmarkHundred(b *testing.B) {
	const n = 100
	s := openSystem(b, stateDir(b), nil)
	act := sandbox.Action{Args: sandbox.RunArgs{Command: "true", Blocking: true}}
	// share has the runtimes do so many actions, each as many as it can, and gives how many a second each did.
	share := func(actions int64, rts []*Runtime) (rate []float64) {
		var left atomic.Int64
		left.Store(actions)
		rate = make([]float64, len(rts))
		begun := time.Now()
		var wg sync.WaitGroup
		for i, rt := range rts {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := rt.Do(context.Background(), act, nil); err != nil {
						b.Error(err)
						return
					}
					rate[i]++
				}
			})
		}
		wg.Wait()
		for i := range rate {
			rate[i] /= time.Since(begun).Seconds()
		}
		return rate
	}
	var rts []*Runtime
	for range n {
		rts = append(rts, openRuntime(b, s, sandbox.Spec{}))
	}
	b.ResetTimer()
	alone := share(int64(b.N)*n/4, rts[:1])[0]
	rates := share(int64(b.N)*n, rts)
	together := 0.0
	for _, r := range rates {
		together += r
	}
	b.ReportMetric(alone, "alone/s")
	b.ReportMetric(together, "together/s")
	if b.N < 20 { // how many fall to whom is chance
		return
	}
	floor.Bound(b, together/alone, "×alone", -0.8)
	floor.Bound(b, slices.Min(rates)*n/together, "slowest/mean", -0.5)
}

// BenchmarkOpen is from nothing to the first observation.
func BenchmarkOpen(b *testing.B) {
	s := openSystem(b, stateDir(b), nil)
	for b.Loop() {
		rt := openRuntime(b, s, sandbox.Spec{})
		if _, err := rt.Run(context.Background(), "true", nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := rt.Kill(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
