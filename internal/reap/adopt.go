package reap

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// doubt is how long a dead child must have been seen before it is taken for an orphan. A child of our own that ends at
// once may be seen before Own has been called for it, a moment after its fork; then its waiter needs it.
const doubt = 50 * time.Millisecond

// An Adopter reaps the orphans that fall to this process, so that they do not stay as zombies. Children that this
// process started itself belong to whoever waits for them, and are made known by Own.
type Adopter struct {
	log    *slog.Logger
	stop   chan struct{}
	wg     sync.WaitGroup
	closed sync.Once

	mu    sync.Mutex
	own   map[int]uint64 // start by number
	prune int            // of how many of them on they are looked through
}

// Adopt makes this process the one to which its orphaned descendants fall, instead of process 1, and begins to reap
// them. It concerns the whole process, so only a main function's program calls it, once.
func Adopt(log *slog.Logger) (*Adopter, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	a := &Adopter{log: log, stop: make(chan struct{}), own: map[int]uint64{}, prune: pruneLeast}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	a.wg.Go(func() {
		defer signal.Stop(ended)
		a.loop(ended)
	})
	return a, nil
}

// Own says that p is a child which this process waits for itself.
func (a *Adopter) Own(p Proc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own[p.PID] = p.Start
	if len(a.own) > a.prune {
		a.pruneLocked()
	}
}

// pruneLocked forgets those that were reaped meanwhile. It is called when there are twice as many as were left the last
// time, so that each child costs the same, however many there are.
func (a *Adopter) pruneLocked() {
	for pid, start := range a.own {
		if now, err := Stat(pid); err != nil || now.Start != start {
			delete(a.own, pid)
		}
	}
	a.prune = 2*len(a.own) + pruneLeast
}

// pruneLeast is how many dead children of our own are remembered without a thought.
const pruneLeast = 64

func (a *Adopter) loop(ended <-chan os.Signal) {
	seen := map[name]time.Time{}  // dead children that may be orphans
	timer := time.NewTimer(doubt) // for those that were there before; a process that has just begun has better to do
	defer timer.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-ended:
		case <-timer.C:
		}
		if left := a.sweep(seen); left {
			timer.Reset(doubt)
		}
	}
}

// sweep reaps the dead children that have been seen for long enough, and says whether there are others to look at again.
func (a *Adopter) sweep(seen map[name]time.Time) bool {
	procs, err := children()
	if err != nil {
		a.log.Error("looking for orphans", "err", err)
		return false
	}
	now, left := time.Now(), map[name]bool{}
	for _, p := range procs {
		if !p.dead || a.owns(p) {
			continue
		}
		first, ok := seen[p.name()]
		if ok && now.Sub(first) >= doubt {
			unix.Wait4(p.PID, nil, unix.WNOHANG, nil) // cannot block, and fails only if somebody else was quicker
			continue
		}
		if !ok {
			seen[p.name()] = now
		}
		left[p.name()] = true
	}
	for n := range seen {
		if !left[n] {
			delete(seen, n)
		}
	}
	return len(left) > 0
}

func (a *Adopter) owns(p Proc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	start, ok := a.own[p.PID]
	return ok && start == p.Start
}

// Close stops the reaping. Orphans still fall to this process.
func (a *Adopter) Close() {
	a.closed.Do(func() { close(a.stop) })
	a.wg.Wait()
}
