package main

import (
	"os"
	"runtime"
)

// threads says on how many threads Go code runs, unless GOMAXPROCS says it. One is enough for one action at a time, and it
// is quicker: with more, each goroutine that is woken wakes an idle thread, which looks for work on the core that the
// shell is about to need. On two cores `true` takes 260 µs instead of 310, and a million lines as long as before. But not
// while the server starts, which it does on all cores, and where the only thread would be held up for 10 ms by the first
// goroutine that waits in the kernel for a process to end; and not when many actions are performed at a time: then there
// is no idle thread to wake, and one would get no more of the machine than any one shell does.
type threads struct{ most int }

func newThreads() threads { return threads{runtime.GOMAXPROCS(0)} }

func (t threads) set(n int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n)
	}
}

// crowded is told whether many actions are performed at a time.
func (t threads) crowded(many bool) {
	if many {
		t.set(t.most)
	} else {
		t.set(1)
	}
}
