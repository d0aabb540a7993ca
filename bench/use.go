package bench

import (
	"context"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/bench/target"
)

// use is what is used at a moment: by the runtimes and this process, their controller, where the target can tell; else by the whole machine.
type use struct {
	at     time.Time
	cpu    time.Duration
	memory int64 // of the runtimes; 0 is not known
	whose  string
}

func (s *scene) using(ctx context.Context) use {
	if measurer, ok := s.target.(target.Measurer); ok {
		if uses, err := measurer.Uses(ctx); err == nil {
			u := use{at: time.Now(), cpu: ownCPU(), whose: "of the runtimes and their controller"}
			for _, x := range uses {
				u.cpu, u.memory = u.cpu+x.CPU, u.memory+x.Memory
			}
			return u
		}
	}
	now := readCPU()
	return use{at: time.Now(), cpu: now.all - now.idle, whose: "of the whole machine, whoever used it"}
}

// lookAgain is how long the memory is left alone between looks while there is a load, and lookPart at least how many times what the
// look took, which with a hundred runtimes is tens of milliseconds: it is to be no load itself.
const (
	lookAgain = 250 * time.Millisecond
	lookPart  = 50
)

// watchMemory looks at the memory of the runtimes until it is asked for the most that there was.
func (s *scene) watchMemory(ctx context.Context) (most func() int64) {
	ctx, stop := context.WithCancel(ctx)
	found := make(chan int64, 1)
	go func() {
		next := time.NewTimer(lookAgain)
		defer next.Stop()
		peak := int64(0)
		for {
			select {
			case <-next.C:
				begun := time.Now()
				peak = max(peak, s.using(ctx).memory)
				next.Reset(max(lookAgain, lookPart*time.Since(begun)))
			case <-ctx.Done():
				found <- peak
				return
			}
		}
	}()
	return func() int64 { stop(); return <-found }
}

// used notes what was used between two moments of a round, and the most memory that was seen meanwhile, which it gives; 0 is not known.
func (s *scene) used(round int, from, to use, peak int64) int64 {
	s.out.Settings["cpu"] = to.whose
	of := float64(to.at.Sub(from.at)) * float64(runtime.NumCPU())
	s.put("cpu", "percent", "less", round, min(100, 100*max(0, float64(to.cpu-from.cpu))/of))
	if peak = max(peak, to.memory); peak > 0 {
		s.put("memory", "bytes", "less", round, float64(peak))
	}
	return peak
}

// ownCPU is the CPU time that this process has had.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// live is the memory of this process that is in use, in bytes. What is garbage, or free and not given back, is left out: it is more than
// some hundred connections need, and depends on what was measured before.
func live() int64 {
	runtime.GC()
	runtime.GC() // what is in a sync.Pool outlives the first
	use := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(use)
	sum := int64(0)
	for _, u := range use {
		if u.Value.Kind() == metrics.KindUint64 {
			sum += int64(u.Value.Uint64())
		}
	}
	return sum
}

// freeMemory is the part of the machine's memory that programs can have; 1 where that is not known.
func freeMemory() float64 {
	of := func(name string) float64 {
		kb, _ := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", name, ":"), " kB"), 64)
		return kb
	}
	if of("MemTotal") == 0 {
		return 1
	}
	return of("MemAvailable") / of("MemTotal")
}
