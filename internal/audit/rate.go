package audit

import "time"

const burst = 50 // seconds of the rate that may come at once: a build starts a thousand programs in a few seconds

// bucket lets through so many per second.
type bucket struct {
	rate, most, left float64
	filled           time.Time
}

func newBucket(perSecond int) *bucket {
	most := float64(perSecond * burst)
	return &bucket{rate: float64(perSecond), most: most, left: most}
}

func (b *bucket) allow(now time.Time) bool {
	if !b.filled.IsZero() {
		b.left = min(b.most, b.left+b.rate*max(0, now.Sub(b.filled).Seconds()))
	}
	b.filled = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
