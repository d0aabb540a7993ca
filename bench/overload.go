package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// overload asks one runtime for more than it can do: how much of it is served, how much refused with a code, and whether
// anything is lost.
func overload() kind {
	return kind{
		keys: []string{"factor", "queue", "duration"},
		check: func(s *Scenario) error {
			if s.Factor == 0 {
				s.Factor = 3
			}
			if s.Queue == 0 {
				s.Queue = 32
			}
			if s.Duration == 0 {
				s.Duration = Duration(2 * time.Second)
			}
			if s.Factor <= 1 {
				return errors.New("the factor is how many times over its capacity it is asked: more than 1")
			}
			return nil
		},
		play: playOverload,
	}
}

func playOverload(ctx context.Context, s *scene) error {
	t, err := s.vary(ctx, target.Variant{Queue: s.Queue}, "has no queue whose length could be set")
	if err != nil {
		return err
	}
	s.series("served", "percent", "more")
	for _, name := range []string{"served", "refused", "lost", "repeated"} {
		s.count(name, 0)
	}
	for round := 0; round < s.Rounds && !s.late() && ctx.Err() == nil; round++ {
		if err := s.flood(ctx, t, round); err != nil {
			return err
		}
		s.tell(float64(round+1)/float64(s.Rounds), fmt.Sprintf("%d refused", s.out.Counts["refused"]))
	}
	return ctx.Err()
}

// flood asks a runtime of its own.
func (s *scene) flood(ctx context.Context, t target.Target, round int) error {
	rt, err := t.Start(ctx, target.Wish{})
	if err != nil {
		return err
	}
	defer rt.Stop(context.WithoutCancel(ctx))
	once, err := ability[target.Once](s, rt, "has no commands that run once")
	if err != nil {
		return err
	}
	tally := newTally()
	capacity, err := s.capacity(ctx, once, tally)
	if err != nil {
		return err
	}
	s.put("capacity", "1/s", "more", round, capacity)
	served, all := s.offer(ctx, once, tally, capacity, round)
	s.put("served", "percent", "more", round, 100*float64(served)/float64(max(1, all)))
	s.count("served", int64(served))
	if err := tally.settle(ctx, once); err != nil {
		return err
	}
	lost, repeated, err := tally.compare(ctx, rt)
	s.count("lost", lost)
	s.count("repeated", repeated)
	return err
}

// offer asks for commands at a rate that is more than the capacity, whatever becomes of them, and tells how many were served of how many.
func (s *scene) offer(ctx context.Context, once target.Once, tally *tally, capacity float64, round int) (served, all int) {
	begun := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	every := float64(time.Second) / (s.Factor * capacity)
	for due := time.Duration(0); due < time.Duration(s.Duration) && ctx.Err() == nil; due = time.Duration(float64(all) * every) {
		if wait := due - time.Since(begun); wait > 0 {
			time.Sleep(wait)
		}
		n, due := tally.number(), due
		all++
		wg.Go(func() {
			err := tally.perform(ctx, once, n)
			took := time.Since(begun) - due
			mu.Lock()
			defer mu.Unlock()
			switch sandbox.CodeOf(err) {
			case "":
				served++
				s.put("latency of what is served", "ns", "less", round, float64(took))
			case sandbox.Exhausted, sandbox.Unavailable, sandbox.Denied: // it was not begun
				tally.tell(n, refused)
				s.count("refused", 1)
				s.count("refused: "+string(sandbox.CodeOf(err)), 1)
				s.put("latency of a refusal", "ns", "less", round, float64(took))
			}
		})
	}
	wg.Wait()
	return served, all
}

// capacity is how many commands a second it does for a few clients.
func (s *scene) capacity(ctx context.Context, rt target.Once, t *tally) (float64, error) {
	const trial = 500 * time.Millisecond
	var clients []func(context.Context) error
	for range min(4, s.Queue) {
		clients = append(clients, func(ctx context.Context) error { return t.perform(ctx, rt, t.number()) })
	}
	done := closed(ctx, clients, trial)
	for _, d := range done {
		if d.err != nil {
			return 0, d.err
		}
	}
	if len(done) == 0 {
		return 0, ctx.Err()
	}
	return float64(len(done)) / trial.Seconds(), nil
}
