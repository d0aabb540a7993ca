package kit

import "time"

// workerPatience is how long a worker waits for its next task: longer than the pauses of a busy actor, and so short that
// a burst is soon forgotten.
const workerPatience = 10 * time.Second

// work runs f on a goroutine that has run tasks before, if one is idle. A fresh one would have to grow its stack, by
// copying it, for the first deep call, and a task that writes to a database makes one: that cost 25 µs a task.
func (s *System) work(f func()) {
	select {
	case s.idle <- f:
	default:
		go s.worker(f)
	}
}

func (s *System) worker(f func()) {
	patience := time.NewTimer(workerPatience)
	defer patience.Stop()
	for {
		f()
		patience.Reset(workerPatience)
		select {
		case f = <-s.idle:
		case <-patience.C:
			return
		case <-s.life.Done():
			return
		}
	}
}
