package main

import (
	"log/slog"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// hideMemory keeps the programs of a container from this process' memory, in which the key is, when it is the container's first
// process: they may have its user, who can otherwise trace it. Elsewhere a developer may want to do that.
func hideMemory(log *slog.Logger) {
	if os.Getpid() != 1 {
		return
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("programs can read this process' memory", "err", err)
	}
}

// spareThreads makes n threads that wait until Go needs one. A program of Go's that needs a thread and cannot make it ends;
// where the server counts among the processes of its sandbox, as in a container, a fork bomb would end it.
func spareThreads(n int) {
	var locked, over sync.WaitGroup
	locked.Add(n)
	all := make(chan struct{})
	for range n {
		over.Go(func() {
			runtime.LockOSThread() // so that each has one of its own, at the same time
			locked.Done()
			<-all
			runtime.UnlockOSThread()
		})
	}
	locked.Wait()
	close(all)
	over.Wait()
}
