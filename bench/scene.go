package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// A scene is a scenario that is played.
type scene struct {
	Scenario
	config    Config
	target    target.Target
	floors    *floors
	index, of int
	began     time.Time
	due       time.Time // when its limit is over
	out       result.Scenario
	cleanups  []func(context.Context) error

	before, share float64 // what of the scenario has been played before, and is played here
}

// play plays it to its end, and ends what it started.
func (s *scene) play(ctx context.Context) result.Scenario {
	s.out = result.Scenario{Name: s.Name, Kind: s.Kind, Title: s.Title, Settings: s.settings()}
	s.tell(0, "")
	s.ready()
	within, cancel := context.WithTimeout(ctx, time.Duration(s.Limit)+grace)
	err := kinds()[s.Kind]().play(within, s)
	cancel()
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		if failed := s.cleanups[i](context.WithoutCancel(ctx)); failed != nil && err == nil {
			err = fmt.Errorf("end what it started: %w", failed)
		}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		s.out.Failed = "it was interrupted"
	case sandbox.CodeOf(err) == sandbox.Unsupported && s.samples() == 0: // what has been measured can be done
		s.out = result.Scenario{Name: s.Name, Kind: s.Kind, Title: s.Title, Unsupported: reason(err)}
	default:
		s.out.Failed = err.Error()
	}
	if err == nil && s.samples() == 0 { // or its counts of what must not be would say that all is well
		s.out.Failed = tooLate
	}
	for i := range s.out.Series {
		s.out.Series[i].Summary = result.Summarize(s.out.Series[i].Rounds)
	}
	if s.out.Unsupported == "" {
		judge(s.Scenario, &s.out)
	}
	return s.out
}

// tooLate is why a scenario failed whose limit was over too soon.
const tooLate = "its limit was over before anything was measured: give it a longer one, or a machine that has less to do"

// samples is how many there are.
func (s *scene) samples() int { return samples(s.out) }

func samples(of result.Scenario) (n int) {
	for _, x := range of.Series {
		for _, round := range x.Rounds {
			n += len(round)
		}
	}
	return n
}

// grace is what a scenario may take beyond its limit, by which it should have stopped of itself.
const grace = 2 * time.Minute

// reason is what an error says at its root, without the operations on the way there and without its code.
func reason(err error) string {
	for {
		e, ok := errors.AsType[*sandbox.Error](err)
		if !ok || e.Err == nil {
			return err.Error()
		}
		err = e.Err
	}
}

// cleanup is done when the scene is over, the last first.
func (s *scene) cleanup(f func(context.Context) error) { s.cleanups = append(s.cleanups, f) }

// settings are those that matter to the kind, for the report.
func (s *scene) settings() map[string]string {
	all := map[string]string{}
	given := s.given()
	for _, key := range append([]string{"rounds"}, kinds()[s.Kind]().keys...) {
		if value := s.value(key); given[key] || key == "rounds" {
			all[key] = value
		}
	}
	return all
}

func (s *scene) value(key string) string {
	return map[string]string{
		"from": s.From, "op": s.Op, "mode": s.Mode, "piece": s.Piece,
		"rounds": fmt.Sprint(s.Rounds), "samples": fmt.Sprint(s.Samples), "warmup": fmt.Sprint(s.Warmup),
		"clients": fmt.Sprint(s.Clients), "runtimes": fmt.Sprint(s.Runtimes), "rate": fmt.Sprint(s.Rate),
		"factor": fmt.Sprint(s.Factor), "queue": fmt.Sprint(s.Queue), "streams": fmt.Sprint(s.Streams), "duration": s.Duration.String(),
	}[key]
}

// tell says how far it is.
func (s *scene) tell(done float64, text string) {
	s.hear(Event{Done: s.before + s.share*done, Text: text})
}

func (s *scene) hear(e Event) {
	if s.config.Listener == nil {
		return
	}
	e.Scenario, e.Title, e.Index, e.Of = s.Name, s.Title, s.index, s.of
	s.config.Listener.Hear(e)
}

// ready has the limit count from now on: it is of what is measured, not of the runtimes and interpreters that must be there before, which a
// machine that is at something else starts in seconds.
func (s *scene) ready() { s.due = time.Now().Add(time.Duration(s.Limit)) }

// spent is how much of the limit is over.
func (s *scene) spent() Duration {
	return s.Limit - Duration(min(max(time.Until(s.due), 0), time.Duration(s.Limit)))
}

// late says whether the limit is over: what is measured by then is what there is.
func (s *scene) late() bool {
	if time.Now().Before(s.due) {
		return false
	}
	s.out.Settings["stopped at"] = s.Limit.String()
	return true
}

// series gives the series of a name, made if it is not there.
func (s *scene) series(name, unit, better string) *result.Series {
	for i := range s.out.Series {
		if s.out.Series[i].Name == name {
			return &s.out.Series[i]
		}
	}
	s.out.Series = append(s.out.Series, result.Series{Name: name, Unit: unit, Better: better})
	return &s.out.Series[len(s.out.Series)-1]
}

// put adds a sample to a series in a round.
func (s *scene) put(name, unit, better string, round int, v float64) {
	x := s.series(name, unit, better)
	for len(x.Rounds) <= round {
		x.Rounds = append(x.Rounds, nil)
	}
	x.Rounds[round] = append(x.Rounds[round], v)
}

// count adds to a count, which is then there even if it is 0.
func (s *scene) count(name string, n int64) {
	if s.out.Counts == nil {
		s.out.Counts = map[string]int64{}
	}
	s.out.Counts[name] += n
}

// start starts a runtime that ends with the scene.
func (s *scene) start(ctx context.Context, w target.Wish) (target.Runtime, error) {
	return s.startOn(ctx, s.target, w)
}

func (s *scene) startOn(ctx context.Context, t target.Target, w target.Wish) (target.Runtime, error) {
	rt, err := t.Start(ctx, w)
	if err != nil {
		return nil, err
	}
	s.cleanup(rt.Stop)
	return rt, nil
}

// vary gives the target in another setting, closed with the scene.
func (s *scene) vary(ctx context.Context, v target.Variant, what string) (target.Target, error) {
	varied, ok := s.target.(target.Varied)
	if !ok {
		return nil, s.cannot(what)
	}
	t, err := varied.Vary(ctx, v)
	if err != nil {
		return nil, err
	}
	s.cleanup(t.Close)
	return t, nil
}

// cannot says what the target lacks.
func (s *scene) cannot(what string) error {
	return &sandbox.Error{Code: sandbox.Unsupported, Op: s.Name, Err: fmt.Errorf("%s %s", s.target.About().Name, what)}
}

// ability asserts that x can.
func ability[T any](s *scene, x any, what string) (T, error) {
	can, ok := x.(T)
	if !ok {
		return can, s.cannot(what)
	}
	return can, nil
}
