// Package figures counts what a process does, for whoever asks: with atomics alone, so that counting may stand on the path of
// every action. What the figures are called, and in which form they are told, is for others to say.
package figures

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Durations are the bounds of buckets for times: from what a message in memory takes to the longest timeout in use.
var Durations = seconds(100*time.Microsecond, 250*time.Microsecond, 500*time.Microsecond, time.Millisecond, 2500*time.Microsecond,
	5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond,
	500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second, 30*time.Second, time.Minute,
	5*time.Minute, 10*time.Minute)

// Numbers are the bounds of buckets for how many of something there are at a time.
var Numbers = []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}

func seconds(ds ...time.Duration) (bounds []int64) {
	for _, d := range ds {
		bounds = append(bounds, int64(d))
	}
	return bounds
}

// A Histogram counts values by size. Safe for concurrent use; it must not be copied.
type Histogram struct {
	bounds []int64
	within []atomic.Uint64 // those up to each bound and over the one before; the last is of those over all
	sum    atomic.Int64
}

// NewHistogram makes one with the given upper bounds of its buckets, which ascend.
func NewHistogram(bounds []int64) *Histogram {
	return &Histogram{bounds: bounds, within: make([]atomic.Uint64, len(bounds)+1)}
}

// Add counts a value.
func (h *Histogram) Add(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.within[i].Add(1)
	h.sum.Add(v)
}

// Since counts the time since begun.
func (h *Histogram) Since(begun time.Time) { h.Add(int64(time.Since(begun))) }

// Read gives how many values there were, their sum, and how many were up to each bound. Those that come meanwhile may be in
// the sum already and not in the count.
func (h *Histogram) Read() (count uint64, sum int64, upTo map[int64]uint64) {
	upTo = make(map[int64]uint64, len(h.bounds))
	for i := range h.within {
		count += h.within[i].Load()
		if i < len(h.bounds) {
			upTo[h.bounds[i]] = count
		}
	}
	return count, h.sum.Load(), upTo
}

// Outcomes counts how something ended. The zero Outcomes is ready. Safe for concurrent use; it must not be copied.
type Outcomes struct {
	well  atomic.Uint64
	codes [10]atomic.Uint64 // in the order of sandbox.Codes
}

// Add counts one that ended with err.
func (o *Outcomes) Add(err error) {
	if err == nil {
		o.well.Add(1)
		return
	}
	o.AddCode(sandbox.CodeOf(err))
}

// AddCode counts one that failed with a code. One that there is not, as a sandbox may say, counts as internal.
func (o *Outcomes) AddCode(code sandbox.Code) {
	i := slices.Index(sandbox.Codes, code)
	if i < 0 {
		i = slices.Index(sandbox.Codes, sandbox.Internal)
	}
	o.codes[i].Add(1)
}

// Each tells of every outcome that there has been, and of "", those that ended well, also if there is none yet: a series that begins
// with 1 has no rate.
func (o *Outcomes) Each(f func(code sandbox.Code, n uint64)) {
	f("", o.well.Load())
	for i, c := range sandbox.Codes {
		if n := o.codes[i].Load(); n > 0 {
			f(c, n)
		}
	}
}
