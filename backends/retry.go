package backends

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// The pauses between attempts: long enough that an infrastructure that is short of something can recover, short enough
// that a person who waits for a sandbox does not notice the first.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// retryable says whether an operation on the infrastructure may be tried again. All of them may be repeated (Start is
// idempotent on the id), so only the hope that it helps decides.
func retryable(c sandbox.Code) bool {
	return c == sandbox.Unavailable || c == sandbox.Exhausted || c == sandbox.Lost
}

// pause is how long to wait after the attempt numbered n, from 0, failed: doubling, up to a cap, and of that a share
// between a half and the whole that random (in [0,1)) chooses, so that many who failed together do not return together.
func pause(n int, random float64) time.Duration {
	d := maxPause
	if n < 16 { // beyond it the shift would overflow, and the cap has long been reached
		d = min(maxPause, firstPause<<n)
	}
	return d/2 + time.Duration(random*float64(d/2))
}

// retry calls f until it succeeds, fails with a code that no repetition mends, has been called attempts times, or ctx
// ends. It returns f's last result. failed hears of each failure that is followed by a pause.
func retry[T any](ctx context.Context, attempts int, failed func(error, time.Duration), f func() (T, error)) (T, error) {
	for n := 0; ; n++ {
		v, err := f()
		if err == nil || !retryable(sandbox.CodeOf(err)) || n+1 >= attempts || ctx.Err() != nil {
			return v, err
		}
		d := pause(n, rand.Float64())
		failed(err, d)
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return v, err
		}
	}
}
