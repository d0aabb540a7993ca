package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// garbagePercent is how much garbage there may be for each hundred bytes in use. With half of the usual hundred 1 MB is
	// saved, of the 7 that a sandboxd has besides its program's file, for 1 ms of processor time every few hundred commands.
	garbagePercent = 50

	lookEvery  = 5 * time.Second
	littleUse  = 32 << 10  // bytes allocated since the last look: somebody asks whether the server is alive, no more
	worthwhile = 256 << 10 // bytes allocated since memory was given back: what a dozen commands take
)

// saveMemory keeps a server that is one of many on its machine small, unless GOGC says how: there is less garbage, and when
// the server has been idle for a few seconds all that is free goes back to the system, until stop is called.
func saveMemory() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	allowGarbage(false)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { giveBack(ctx) })
	return func() { cancel(); wg.Wait() }
}

// allowGarbage says how much there may be. While many actions are performed at a time it is as much as Go allows by itself:
// then speed matters more.
func allowGarbage(many bool) {
	switch {
	case os.Getenv("GOGC") != "":
	case many:
		debug.SetGCPercent(100)
	default:
		debug.SetGCPercent(garbagePercent)
	}
}

// giveBack gives free memory back after use, until ctx ends.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for given, last := uint64(0), allocated(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-last < littleUse && now-given > worthwhile {
			debug.FreeOSMemory()
			given = now
		}
		last = now
	}
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
