package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// startup is the time from asking for a runtime to the first observation in it, by what there is of it before.
func startup() kind {
	return kind{
		keys: []string{"from", "samples", "warmup"},
		check: func(s *Scenario) error {
			return oneOf("from", s.From, "cold", "warm", "attach", "pause", "halt", "restore", "fork")
		},
		play: playStartup,
	}
}

// A starter makes ready what is started from, and gives what starts it; done ends what came of it.
type starter func(ctx context.Context) (begin func(context.Context) (target.Runtime, error), done func(context.Context) error, err error)

func playStartup(ctx context.Context, s *scene) error {
	if standing, ok := s.target.(target.Standing); ok {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: s.Name, Err: fmt.Errorf("%s", standing.Standing())}
	}
	next, err := s.starter(ctx)
	if err != nil {
		return err
	}
	for range s.Warmup {
		if _, err := s.sample(ctx, next, nil); err != nil {
			return err
		}
	}
	s.ready()
	var ratios []float64
	p := &phases{}
	for round := range s.Rounds {
		has := s.floors.begin(floorStart)
		for i := 0; i < s.Samples && !s.late(); i++ {
			took, err := s.sample(ctx, next, p)
			if err != nil {
				return err
			}
			s.put("start", "ns", "less", round, float64(took))
			if has {
				if err := s.floors.measure(floorStart, 1); err != nil {
					return err
				}
			}
			s.tell((float64(round)+float64(i+1)/float64(s.Samples))/float64(s.Rounds), s.sofar("start", round))
		}
		if m := s.roundMedian("start", round); has && m > 0 && s.floors.median(floorStart) > 0 {
			ratios = append(ratios, m/s.floors.median(floorStart))
		}
	}
	s.compared("start", floorStart, ratios)
	s.out.Phases = p.medians()
	return nil
}

// sample is one start, to the first observation.
func (s *scene) sample(ctx context.Context, next starter, p *phases) (time.Duration, error) {
	begin, done, err := next(ctx)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	rt, err := begin(ctx)
	ready := time.Since(begun)
	if err == nil {
		_, err = rt.Run(ctx, "true")
	}
	took := time.Since(begun)
	if p != nil && err == nil {
		p.add(rt, begun, ready, took)
	}
	if failed := done(ctx); err == nil {
		err = failed
	}
	return took, err
}

// starter is what a scenario starts from.
func (s *scene) starter(ctx context.Context) (starter, error) {
	switch s.From {
	case "warm":
		return s.warm(ctx)
	case "attach":
		return s.attach(ctx)
	case "pause":
		return s.resume(ctx, target.Wish{PauseAfter: soon})
	case "halt":
		return s.resume(ctx, target.Wish{StopAfter: soon})
	case "restore":
		return s.restore(ctx)
	case "fork":
		return s.fork(ctx)
	}
	return s.fresh(s.target, target.Wish{}, func(context.Context) error { return nil }), nil
}

// soon is how long a runtime goes unused before it rests, where that is what is waited for.
const soon = 20 * time.Millisecond

// fresh starts a new runtime each time, after before.
func (s *scene) fresh(t target.Target, w target.Wish, before func(context.Context) error) starter {
	return func(ctx context.Context) (func(context.Context) (target.Runtime, error), func(context.Context) error, error) {
		var rt target.Runtime
		begin := func(ctx context.Context) (_ target.Runtime, err error) {
			rt, err = t.Start(ctx, w)
			return rt, err
		}
		done := func(ctx context.Context) error {
			if rt == nil {
				return nil
			}
			return rt.Stop(ctx)
		}
		return begin, done, before(ctx)
	}
}

// warm starts what a pool holds ready.
func (s *scene) warm(ctx context.Context) (starter, error) {
	t, err := s.vary(ctx, target.Variant{Pool: 2}, "holds no runtimes ready")
	if err != nil {
		return nil, err
	}
	stocked, err := ability[target.Stocked](s, t, "does not tell what it holds ready")
	if err != nil {
		return nil, err
	}
	return s.fresh(t, target.Wish{}, stocked.Filled), nil
}

// attach lets go of one runtime and finds it again.
func (s *scene) attach(ctx context.Context) (starter, error) {
	finder, err := ability[target.Finder](s, s.target, "finds no runtime again")
	if err != nil {
		return nil, err
	}
	rt, err := s.target.Start(ctx, target.Wish{})
	if err != nil {
		return nil, err
	}
	s.cleanup(func(ctx context.Context) error { return rt.Stop(ctx) })
	return func(ctx context.Context) (func(context.Context) (target.Runtime, error), func(context.Context) error, error) {
		leaver, err := ability[target.Leaver](s, rt, "lets go of no runtime")
		if err == nil {
			err = leaver.Leave(ctx)
		}
		begin := func(ctx context.Context) (target.Runtime, error) {
			found, err := finder.Find(ctx, rt.ID())
			if err == nil {
				rt = found
			}
			return rt, err
		}
		return begin, nothing, err
	}, nil
}

func nothing(context.Context) error { return nil }

// resume lets one runtime rest and asks it for the next command.
func (s *scene) resume(ctx context.Context, w target.Wish) (starter, error) {
	rt, err := s.start(ctx, w)
	if err != nil {
		return nil, err
	}
	rester, err := ability[target.Rester](s, rt, "has no runtimes that rest")
	if err != nil {
		return nil, err
	}
	begin := func(context.Context) (target.Runtime, error) { return rt, nil }
	return func(ctx context.Context) (func(context.Context) (target.Runtime, error), func(context.Context) error, error) {
		return begin, nothing, rester.Rested(ctx)
	}, nil
}

// kept is a runtime with some files, and a snapshot of them.
func (s *scene) kept(ctx context.Context) (rt target.Runtime, snapshot string, err error) {
	if rt, err = s.target.Start(ctx, target.Wish{}); err != nil {
		return nil, "", err
	}
	shooter, err := ability[target.Snapshotter](s, rt, "keeps no snapshots")
	if err == nil {
		_, err = rt.Run(ctx, "mkdir -p d && for i in $(seq 100); do head -c 10000 /dev/urandom >d/$i; done")
	}
	if err == nil {
		snapshot, err = shooter.Snapshot(ctx)
	}
	if err != nil {
		s.cleanup(rt.Stop)
	}
	return rt, snapshot, err
}

// restore gives one runtime the files of its snapshot again, 1 MB in a hundred files.
func (s *scene) restore(ctx context.Context) (starter, error) {
	restorer, err := ability[target.Restorer](s, s.target, "restores no snapshots")
	if err != nil {
		return nil, err
	}
	rt, snapshot, err := s.kept(ctx)
	if err != nil {
		return nil, err
	}
	s.cleanup(func(ctx context.Context) error { return rt.Stop(ctx) })
	begin := func(ctx context.Context) (target.Runtime, error) {
		restored, err := restorer.Restore(ctx, rt, snapshot)
		if err == nil {
			rt = restored
		}
		return rt, err
	}
	return func(context.Context) (func(context.Context) (target.Runtime, error), func(context.Context) error, error) {
		return begin, nothing, nil
	}, nil
}

// fork starts new runtimes from a snapshot.
func (s *scene) fork(ctx context.Context) (starter, error) {
	rt, snapshot, err := s.kept(ctx)
	if err != nil {
		return nil, err
	}
	s.cleanup(rt.Stop)
	return s.fresh(s.target, target.Wish{From: snapshot}, nothing), nil
}
