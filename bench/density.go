package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// density starts runtimes until there are as many as were asked for, or the target or the machine has no room for more.
func density() kind {
	return kind{
		keys: []string{"runtimes"},
		check: func(s *Scenario) error {
			if s.Runtimes < 2 {
				return errors.New("it needs runtimes: how many there shall be at most")
			}
			return nil
		},
		play: playDensity,
	}
}

// batch is how many runtimes are started before it is looked whether there is room for more.
const batch = 10

// full is the part of the machine's memory that must be free, so that what is measured is not how it swaps.
const full = 0.1

func playDensity(ctx context.Context, s *scene) error {
	if standing, ok := s.target.(target.Standing); ok {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: s.Name, Err: errors.New(standing.Standing())}
	}
	s.series("runtimes", "1", "more")
	own := live()
	var all []target.Runtime
	s.cleanup(func(ctx context.Context) error { return stopAll(ctx, all) })
	why := ""
	for len(all) < s.Runtimes && why == "" {
		more, err := s.more(ctx, min(batch, s.Runtimes-len(all)))
		all = append(all, more...)
		s.out.Timeline = append(s.out.Timeline, result.Point{At: int64(time.Since(s.began)), Figures: map[string]float64{"runtimes": float64(len(all))}})
		s.tell(0.8*float64(len(all))/float64(s.Runtimes), fmt.Sprintf("%d runtimes", len(all)))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case sandbox.CodeOf(err) == sandbox.Exhausted:
			why = reason(err)
		case err != nil:
			return err
		case freeMemory() < full:
			why = "the machine's memory is full"
		case s.late():
			why = "its time was over"
		}
	}
	s.put("runtimes", "1", "more", 0, float64(len(all)))
	s.out.Settings["ended by"] = why
	if why == "" {
		s.out.Settings["ended by"] = "as many as were asked for"
	}
	if len(all) == 0 {
		return errors.New("there is no room for a single one: " + why)
	}
	s.put("memory of the controller per runtime", "bytes", "less", 0, max(0, float64(live()-own))/float64(len(all)))
	if err := s.idle(ctx, all); err != nil {
		return err
	}
	return s.answers(ctx, all)
}

// more starts some runtimes. Those that have started are returned also with an error.
func (s *scene) more(ctx context.Context, n int) (all []target.Runtime, err error) {
	var mu sync.Mutex
	inParallel(n, starting, func(int) {
		begun := time.Now()
		rt, failed := s.target.Start(ctx, target.Wish{})
		took := time.Since(begun)
		mu.Lock()
		defer mu.Unlock()
		if failed != nil {
			err = failed
			return
		}
		s.put("start", "ns", "less", 0, float64(took))
		all = append(all, rt)
	})
	return all, err
}

// resting is how long runtimes are left alone while their use of the processor is measured.
const resting = 2 * time.Second

// idle measures what runtimes use that do nothing.
func (s *scene) idle(ctx context.Context, all []target.Runtime) error {
	measurer, ok := s.target.(target.Measurer)
	if !ok {
		return nil
	}
	before, err := measurer.Uses(ctx)
	if sandbox.CodeOf(err) == sandbox.Unsupported {
		s.out.Settings["memory and cpu"] = reason(err)
		return nil
	}
	if err != nil {
		return err
	}
	begun := time.Now()
	select {
	case <-time.After(resting):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := measurer.Uses(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	for _, rt := range all {
		s.put("memory per runtime", "bytes", "less", 0, float64(after[rt.ID()].Memory))
		used := max(0, after[rt.ID()].CPU-before[rt.ID()].CPU) // a process that has ended took its time along
		s.put("cpu per runtime", "percent", "less", 0, 100*float64(used)/float64(took))
	}
	return nil
}

// answers asks every runtime: all that there are must answer.
func (s *scene) answers(ctx context.Context, all []target.Runtime) error {
	var mu sync.Mutex
	var failure error
	s.count("silent", 0)
	inParallel(len(all), starting, func(i int) {
		begun := time.Now()
		_, err := all[i].Run(ctx, "true")
		took := time.Since(begun)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			s.count("silent", 1)
			failure = err
			return
		}
		s.put("latency of the first command", "ns", "less", 0, float64(took))
	})
	if failure != nil && s.out.Counts["silent"] == int64(len(all)) {
		return failure
	}
	return ctx.Err()
}
