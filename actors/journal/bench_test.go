package journal

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// BenchmarkAppend is one writer alone: what an action pays, twice.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []string{SyncProcess, SyncFull} {
		for _, size := range []int{400, 30_000} {
			b.Run(fmt.Sprintf("sync=%s/bytes=%d", mode, size), func(b *testing.B) {
				j, err := Open(Config{Path: filepath.Join(b.TempDir(), "journal.db"), Sync: mode})
				if err != nil {
					b.Fatal(err)
				}
				defer j.Close()
				l := acquire(b, j, "a")
				body := make(json.RawMessage, size)
				took := make([]time.Duration, 0, 1024)
				defer cpu(b)()
				for b.Loop() {
					start := time.Now()
					if _, err := j.Append(b.Context(), "a", l.Epoch(), Record{Type: TypeAction, ActionID: sandbox.NewActionID(), Body: body}); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				report(b, took)
			})
		}
	}
}

// BenchmarkAppendTogether is a hundred runtimes at once.
func BenchmarkAppendTogether(b *testing.B) {
	j, err := Open(Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	const writers = 100
	body := make(json.RawMessage, 400)
	var leases [writers]Lease
	for w := range leases {
		leases[w] = acquire(b, j, sandbox.ID(fmt.Sprint("r", w)))
	}
	b.ResetTimer() // a hundred leases take as long as thousands of records
	defer cpu(b)()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for _, l := range leases {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := j.Append(b.Context(), l.ID(), l.Epoch(), Record{Type: TypeAction, ActionID: sandbox.NewActionID(), Body: body}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAppendBesideAnotherProcess is one writer while another process writes all the time.
func BenchmarkAppendBesideAnotherProcess(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	j, err := Open(Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	l := acquire(b, j, "mine")
	c := spawn(b, path, "append")
	go func() {
		for c.out.Scan() {
		}
	}()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := j.Append(b.Context(), "mine", l.Epoch(), note(1)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	_ = c.in.Close()
	_ = c.Wait()
	report(b, took)
}

// BenchmarkSubscribe is from append to seeing, within the process.
func BenchmarkSubscribe(b *testing.B) {
	j, err := Open(Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	l := acquire(b, j, "a")
	next, stop := pull(j, "a")
	defer stop()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := j.Append(b.Context(), "a", l.Epoch(), note(1)); err != nil {
			b.Fatal(err)
		}
		if _, err := next(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	report(b, took)
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	for b.Loop() {
		j, err := Open(Config{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu gives a function that reports the processor time since, which a busy machine does not change as it does latency.
func cpu(b *testing.B) func() {
	used := func() float64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric((used()-start)/float64(b.N), "cpu-ns/op") }
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))]) }
	b.ReportMetric(at(0.5), "p50-ns")
	b.ReportMetric(at(0.99), "p99-ns")
	b.ReportMetric(at(0.999), "p999-ns")
}
