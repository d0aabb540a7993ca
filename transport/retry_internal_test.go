package transport

import (
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestTimeoutsFollowRoundTrips(t *testing.T) {
	const ms = time.Millisecond
	steady := func(d time.Duration) []time.Duration {
		many := make([]time.Duration, 100)
		for i := range many {
			many[i] = d
		}
		return many
	}
	for name, c := range map[string]struct {
		trips  []time.Duration
		misses int
		want   time.Duration
	}{
		"nothing known":         {nil, 0, 700 * ms},
		"nothing known, missed": {nil, 1, 1400 * ms},
		"one":                   {[]time.Duration{100 * ms}, 0, 300 * ms}, // RFC 6298: the mean and four times half of it
		"fast":                  {steady(20 * time.Microsecond), 0, 50 * ms},
		"slow and steady":       {steady(400 * ms), 0, 400 * ms},
		"slow and steady, late": {steady(400 * ms), 2, 1600 * ms},
		"beyond the bound":      {steady(5 * time.Second), 0, 2 * time.Second},
		"missed for ever":       {steady(400 * ms), 1000, 2 * time.Second},
	} {
		r := roundTrips{first: 700 * ms, min: 50 * ms, max: 2 * time.Second}
		for _, d := range c.trips {
			r.took(d)
		}
		for range c.misses {
			r.miss()
		}
		if got := r.timeout(); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPausesGrowWithinBounds(t *testing.T) {
	r := Retry{}.withDefaults()
	for _, c := range []struct {
		n     int
		code  sandbox.Code
		bound time.Duration
	}{
		{1, sandbox.Unavailable, 5 * time.Millisecond},
		{2, sandbox.Lost, 10 * time.Millisecond},
		{5, sandbox.Unavailable, 80 * time.Millisecond},
		{9, sandbox.Unavailable, time.Second},
		{1 << 40, sandbox.Unavailable, time.Second},
		{1, sandbox.Exhausted, 100 * time.Millisecond},
		{2, sandbox.Exhausted, 200 * time.Millisecond},
	} {
		longest := time.Duration(0)
		for range 1000 {
			p := r.pause(c.n, c.code)
			if p < 0 || p > c.bound {
				t.Fatalf("failure %d, %s: %s is not within %s", c.n, c.code, p, c.bound)
			}
			longest = max(longest, p)
		}
		if longest < c.bound/2 {
			t.Errorf("failure %d, %s: never over %s of %s", c.n, c.code, longest, c.bound)
		}
	}
}
