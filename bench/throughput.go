package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/sandbox"
)

// throughput is many clients, of one runtime or of several: as fast as they can (closed), at a rate (open), at a rate that rises until the
// target does not follow (ramp), or all at once (burst).
func throughput() kind {
	return kind{
		keys: []string{"op", "mode", "clients", "runtimes", "rate", "duration", "samples"},
		check: func(s *Scenario) error {
			if s.Duration == 0 {
				s.Duration = Duration(2 * time.Second)
			}
			if s.Clients == 1 && (s.Mode == "open" || s.Mode == "ramp") {
				s.Clients = 32 // at work at the same time, of each runtime
			}
			if s.Clients*s.Runtimes > 100_000 {
				return errors.New("clients of all runtimes are more than any machine has")
			}
			if (s.Mode == "open" || s.Mode == "ramp") != (s.Rate > 0) {
				return errors.New("the modes \"open\" and \"ramp\", and no other, need a rate: operations per second")
			}
			if s.Op == "edit" {
				return errors.New("edits depend on each other: take another op")
			}
			return errors.Join(oneOf("op", s.Op, Ops()...), oneOf("mode", s.Mode, "closed", "open", "ramp", "burst"))
		},
		play: playThroughput,
	}
}

func playThroughput(ctx context.Context, s *scene) error {
	rts, err := s.startMany(ctx, s.target, s.Runtimes)
	if err != nil {
		return err
	}
	var clients []func(context.Context) error
	for range s.Clients { // round the runtimes, so that all have work where there is little
		for _, rt := range rts {
			do, err := ops[s.Op].prepare(ctx, s, rt)
			if err != nil {
				return err
			}
			clients = append(clients, do)
		}
	}
	for _, do := range clients[:len(rts)] { // warm up
		if err := do(ctx); err != nil {
			return err
		}
	}
	s.ready()
	switch s.Mode {
	case "ramp":
		return s.ramp(ctx, clients)
	case "burst":
		return s.bursts(ctx, clients)
	}
	return s.sustain(ctx, clients)
}

// sustain keeps up a load, in rounds.
func (s *scene) sustain(ctx context.Context, clients []func(context.Context) error) error {
	s.count("errors", 0)
	s.series("throughput", "1/s", "more") // which stands for the scenario
	s.series("latency", "ns", "less")
	for round := 0; round < s.Rounds && !s.late() && ctx.Err() == nil; round++ {
		began := time.Since(s.began)
		before := s.using(ctx)
		most := s.watchMemory(ctx)
		var all []done
		if s.Mode == "open" {
			all = open(ctx, clients, s.Rate, time.Duration(s.Duration))
		} else {
			all = closed(ctx, clients, time.Duration(s.Duration))
		}
		peak := most()
		peak = s.used(round, before, s.using(ctx), peak)
		if err := s.took(ctx, all, round, began, peak); err != nil {
			return err
		}
		s.tell(float64(round+1)/float64(s.Rounds), result.Figure(s.roundMedian("throughput", round), "1/s"))
	}
	return ctx.Err()
}

// steps is how many points a round has on the timeline.
const steps = 10

// took notes the operations of a round: rates and times, and a point of the timeline for each step, with the most memory of the round if that
// is known. An operation that failed is an error of the scenario if all of them did.
func (s *scene) took(ctx context.Context, all []done, round int, began time.Duration, memory int64) error {
	step := max(time.Duration(s.Duration)/steps, 50*time.Millisecond)
	n := int((time.Duration(s.Duration) + step - 1) / step)
	if ctx.Err() != nil { // what was to come after that is not a time in which nothing was done
		if n = min(n, int((time.Since(s.began)-began)/step)); n == 0 {
			return ctx.Err()
		}
	}
	byStep := make([][]float64, n)
	var failure error
	for _, d := range all {
		if cutOff(ctx, d) {
			continue
		}
		if d.err != nil {
			s.count("errors", 1)
			failure = d.err
			continue
		}
		i := min(int(d.at/step), n-1)
		byStep[i] = append(byStep[i], float64(d.took))
	}
	for i, times := range byStep {
		if i < n-1 || n == 1 { // what was at work when the time was over has ended in the last one, which so may have too much
			s.put("throughput", "1/s", "more", round, float64(len(times))/step.Seconds())
		}
		for _, took := range times {
			s.put("latency", "ns", "less", round, took)
		}
		p := result.Summarize([][]float64{times})
		figures := map[string]float64{"throughput": float64(len(times)) / step.Seconds(), "p50": p.P50, "p99": p.P99}
		if memory > 0 {
			figures["memory"] = float64(memory)
		}
		s.out.Timeline = append(s.out.Timeline, result.Point{At: int64(began + time.Duration(i)*step), Figures: figures})
	}
	s.thin("latency", round)
	if s.out.Counts["errors"] > 0 && s.roundMedian("latency", round) == 0 {
		return fmt.Errorf("all operations failed: %w", failure)
	}
	return nil
}

// cutOff says whether an operation is no failure of the target: whoever asked has ended it.
func cutOff(ctx context.Context, d done) bool {
	return ctx.Err() != nil && d.err != nil && sandbox.CodeOf(d.err) == sandbox.Canceled
}

// A ramp's steps grow by this factor, and it is beyond the knee where less than follow of the rate is done, or the median has grown by more than slow.
const (
	growth = 1.5
	follow = 0.9
	slow   = 10
)

// ramp raises the rate until the target does not follow, which is the knee: the last rate that it did follow.
func (s *scene) ramp(ctx context.Context, clients []func(context.Context) error) error {
	s.count("errors", 0)
	for round := range s.Rounds {
		least, knee, found := 0.0, 0.0, false
		for rate := s.Rate; !s.late() && ctx.Err() == nil; rate *= growth {
			achieved, p50 := s.rise(ctx, clients, rate)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.tell((float64(round)+0.5)/float64(s.Rounds), result.Figure(rate, "1/s")+" offered")
			if least == 0 {
				least = p50
			}
			if found = achieved < follow*rate || p50 > slow*least; found {
				break
			}
			knee = rate
		}
		switch {
		case knee > 0 && found:
			s.put("throughput", "1/s", "more", round, knee)
		case knee > 0: // its time was over before
			s.out.Settings["knee"] = "beyond " + result.Figure(knee, "1/s")
		}
	}
	if beyond := s.out.Settings["knee"]; len(s.out.Series) == 0 && beyond != "" && ctx.Err() == nil {
		return fmt.Errorf("its limit was over before it was found how much it can do, which is %s: give it a longer limit or a higher first rate", beyond)
	}
	if len(s.out.Series) == 0 && ctx.Err() == nil {
		return fmt.Errorf("it does not follow even the first rate, %s", result.Figure(s.Rate, "1/s"))
	}
	return ctx.Err()
}

// rise is one step of a ramp: how many operations a second were done in time, and their median. It is a point of the timeline.
func (s *scene) rise(ctx context.Context, clients []func(context.Context) error, rate float64) (achieved, p50 float64) {
	began := time.Since(s.began)
	var times []float64
	inTime := 0
	for _, d := range open(ctx, clients, rate, time.Duration(s.Duration)) {
		if cutOff(ctx, d) {
			continue
		}
		if d.err != nil {
			s.count("errors", 1)
			continue
		}
		times = append(times, float64(d.took))
		if d.at <= time.Duration(s.Duration) {
			inTime++
		}
	}
	p := result.Summarize([][]float64{times})
	achieved = float64(inTime) / time.Duration(s.Duration).Seconds()
	s.out.Timeline = append(s.out.Timeline, result.Point{At: int64(began),
		Figures: map[string]float64{"offered": rate, "throughput": achieved, "p50": p.P50, "p99": p.P99}})
	return achieved, p.P50
}

// bursts has all clients ask at once, again and again.
func (s *scene) bursts(ctx context.Context, clients []func(context.Context) error) error {
	s.count("errors", 0)
	s.series("burst", "ns", "less") // which stands for the scenario
	for round := range s.Rounds {
		for i := 0; i < s.Samples && !s.late() && ctx.Err() == nil; i++ {
			all := burst(ctx, clients)
			last := time.Duration(0)
			for _, d := range all {
				if cutOff(ctx, d) {
					continue
				}
				if d.err != nil {
					s.count("errors", 1)
					continue
				}
				last = max(last, d.at)
				s.put("latency", "ns", "less", round, float64(d.took))
			}
			if last > 0 && ctx.Err() == nil {
				s.put("burst", "ns", "less", round, float64(last))
				s.put("throughput", "1/s", "more", round, float64(len(all))/last.Seconds())
			}
			s.tell((float64(round)+float64(i+1)/float64(s.Samples))/float64(s.Rounds), s.sofar("burst", round))
		}
	}
	return ctx.Err()
}
