package supervisor

import (
	"fmt"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// Restart bounds the restarts of one supervisor's children. They have one intensity together, and each its own back-off:
// Base, doubled with each restart of that child in the window, at most Cap, of which a random half is taken away. So a
// window without a failure makes all new.
type Restart struct {
	Intensity int              // restarts allowed in a window; 0 means 5, negative none
	Window    time.Duration    // 0 means 1 minute
	Base      time.Duration    // wait before the first restart; 0 means 200 ms, negative none
	Cap       time.Duration    // longest wait; 0 means 30 s
	Fatal     func(error) bool // failures that no restart mends; nil: none
	Spent     Spent            // what follows a restart too many, or a fatal failure
}

// Spent says what follows when there are no more restarts.
type Spent int

// The ways to go on without a child.
const (
	Fail   Spent = iota // the supervisor fails too, so that its own supervisor decides
	GiveUp              // the child (in a group: those that depend on it too) stays ended
)

// Check says whether r makes sense. Code: Invalid, naming the field.
func (r Restart) Check() error {
	r = r.filled()
	switch {
	case r.Intensity > kit.HistoryKept:
		return invalid("restart.intensity", fmt.Errorf("%d is more than the %d that are remembered", r.Intensity, kit.HistoryKept))
	case r.Window < 0:
		return invalid("restart.window", fmt.Errorf("%v is negative", r.Window))
	case r.Cap < r.Base:
		return invalid("restart.cap", fmt.Errorf("%v is less than the base, %v", r.Cap, r.Base))
	}
	return nil
}

func invalid(field string, err error) error {
	return &sandbox.Error{Code: sandbox.Invalid, Op: field, Err: err}
}

func (r Restart) filled() Restart {
	if r.Intensity == 0 {
		r.Intensity = 5
	}
	if r.Window == 0 {
		r.Window = time.Minute
	}
	if r.Base == 0 {
		r.Base = 200 * time.Millisecond
	}
	if r.Cap == 0 {
		r.Cap = max(30*time.Second, r.Base)
	}
	return r
}

// OneForOne restarts the child that ended, alone: the children do not depend on each other.
func OneForOne(r Restart) kit.Strategy {
	return strategy(r, func(_, who int) (from int) { return who }, func(n, who int) int { return who + 1 })
}

// RestForOne restarts the child that ended and those started after it: each may depend on the ones before.
func RestForOne(r Restart) kit.Strategy {
	return strategy(r, func(_, who int) int { return who }, func(n, who int) int { return n })
}

// OneForAll restarts all when one ends: they depend on each other.
func OneForAll(r Restart) kit.Strategy {
	return strategy(r, func(_, _ int) int { return 0 }, func(n, _ int) int { return n })
}

// strategy makes one whose deaths concern the children in [from, to) of n.
func strategy(r Restart, from, to func(n, who int) int) kit.Strategy {
	r = r.filled()
	return func(d kit.Death, h kit.History) []kit.Effect {
		v := r.judge(d, h)
		lo, hi := from(len(d.Children), d.Who), to(len(d.Children), d.Who)
		switch {
		case v.over:
			return []kit.Effect{{Op: kit.End, Child: d.Who}}
		case v.spent && r.Spent == Fail:
			return []kit.Effect{{Op: kit.Escalate, Child: d.Who}}
		case v.spent:
			return endAll(lo, hi)
		}
		return restartAll(d, v, lo, hi)
	}
}

// endAll ends the children in [lo, hi), last one first.
func endAll(lo, hi int) (out []kit.Effect) {
	for i := hi - 1; i >= lo; i-- {
		out = append(out, kit.Effect{Op: kit.End, Child: i})
	}
	return out
}

// restartAll brings the children in [lo, hi) down, last one first, and up again, first one first, after the back-off.
// Temporary ones do not come back.
func restartAll(d kit.Death, v verdict, lo, hi int) (out []kit.Effect) {
	for i := hi - 1; i >= lo; i-- {
		switch {
		case i == d.Who:
		case d.Children[i].Kind == kit.Temporary:
			out = append(out, kit.Effect{Op: kit.End, Child: i})
		default:
			out = append(out, kit.Effect{Op: kit.Pause, Child: i})
		}
	}
	wait := v.wait
	for i := lo; i < hi; i++ {
		if d.Children[i].Kind == kit.Temporary {
			continue
		}
		e := kit.Effect{Op: kit.Begin, Child: i, After: wait}
		wait = 0
		if i == d.Who {
			e.Attempt, e.Of = v.attempt, v.of
		}
		out = append(out, e)
	}
	return out
}

// verdict is what a Restart says of one death.
type verdict struct {
	over        bool // the child is of a kind that stays ended
	spent       bool // it should come back but must not
	attempt, of int
	wait        time.Duration
}

func (r Restart) judge(d kit.Death, h kit.History) verdict {
	who := d.Children[d.Who]
	if who.Kind == kit.Temporary || who.Kind == kit.Transient && d.Why == kit.ErrNormal {
		return verdict{over: true}
	}
	all, own := 0, 0
	for _, past := range h {
		if d.At.Sub(past.At) >= r.Window {
			continue
		}
		all++
		if past.Child == who.Name {
			own++
		}
	}
	if all >= r.Intensity || r.Fatal != nil && r.Fatal(d.Why) {
		return verdict{spent: true}
	}
	return verdict{attempt: all + 1, of: r.Intensity, wait: r.backoff(own, d.Random)}
}

// backoff is how long to wait before a restart after n others; random in [0, 1) spreads it over its upper half.
func (r Restart) backoff(n int, random float64) time.Duration {
	if r.Base < 0 {
		return 0
	}
	d := r.Base
	for range n {
		if d >= r.Cap/2 {
			d = r.Cap
			break
		}
		d *= 2
	}
	d = min(d, r.Cap)
	return d/2 + time.Duration(random*float64(d/2))
}
