package bench

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// stalled is a target that takes a millisecond, but for one stall.
func stalled(at, long time.Duration) func(context.Context) error {
	begun := time.Now()
	return func(context.Context) error {
		if since := time.Since(begun); since >= at && since < at+long {
			time.Sleep(at + long - since)
			return nil
		}
		time.Sleep(time.Millisecond)
		return nil
	}
}

func times(all []done) (sorted []time.Duration) {
	for _, d := range all {
		sorted = append(sorted, d.took)
	}
	slices.Sort(sorted)
	return sorted
}

// A target stalls for one second of ten. Whoever asks again only when it is answered sees that once in thousands; whoever asks a
// hundred times a second had it in a tenth of what was asked, and must see it.
func TestOpenLoadOmitsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := stalled(3*time.Second, time.Second)
		all := times(open(t.Context(), []func(context.Context) error{do}, 100, 10*time.Second))
		if len(all) != 1000 {
			t.Errorf("%d were asked for, not 1000", len(all))
		}
		// Those that were due during the stall waited for what was left of it, and then for those before them.
		if p95 := all[len(all)*95/100]; p95 < 300*time.Millisecond {
			t.Errorf("p95 is %v: the stall was omitted", p95)
		}
		if p50 := all[len(all)/2]; p50 != time.Millisecond {
			t.Errorf("p50 is %v", p50)
		}
		if most := all[len(all)-1]; most < time.Second || most > 1100*time.Millisecond {
			t.Errorf("the longest is %v", most)
		}
	})
}

func TestClosedLoadSeesAStallOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := stalled(3*time.Second, time.Second)
		all := times(closed(t.Context(), []func(context.Context) error{do}, 10*time.Second))
		if len(all) < 8990 || len(all) > 9001 || all[len(all)-1] < time.Second-time.Millisecond || all[len(all)-2] != time.Millisecond {
			t.Errorf("%d, the longest %v and %v", len(all), all[len(all)-1], all[len(all)-2])
		}
	})
}

// With clients enough nobody waits for another: each operation takes what it takes, though the rate is more than one client could do.
func TestOpenLoadKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clients []func(context.Context) error
		for range 20 {
			clients = append(clients, func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil })
		}
		all := open(t.Context(), clients, 100, 3*time.Second)
		if got := times(all); len(got) != 300 || got[0] != 100*time.Millisecond || got[299] != 100*time.Millisecond {
			t.Errorf("%d, from %v to %v", len(got), got[0], got[len(got)-1])
		}
	})
}

func TestLoadsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		do := []func(context.Context) error{func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(300 * time.Millisecond):
				return nil
			}
		}}
		begun := time.Now()
		for name, all := range map[string][]done{"closed": closed(ctx, do, time.Hour), "open": open(ctx, do, 1000, time.Hour), "burst": burst(ctx, do)} {
			if len(all) > 0 && !errors.Is(all[len(all)-1].err, context.DeadlineExceeded) {
				t.Errorf("%s: the last ended with %v", name, all[len(all)-1].err)
			}
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("they ended after %v", took)
		}
	})
}

func TestBurstBeginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clients []func(context.Context) error
		for i := range 50 {
			clients = append(clients, func(context.Context) error { time.Sleep(time.Duration(i) * time.Millisecond); return nil })
		}
		if got := times(burst(t.Context(), clients)); len(got) != 50 || got[0] != 0 || got[49] != 49*time.Millisecond {
			t.Errorf("%v", got)
		}
	})
}
