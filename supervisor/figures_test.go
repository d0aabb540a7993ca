package supervisor

import (
	"context"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport/breaker"
)

// statuses are how many runtimes are in each status, of those in which there are any.
func statuses(s *System) map[sandbox.Status]int64 {
	all := map[sandbox.Status]int64{}
	s.Figures().Runtimes.Statuses(func(status sandbox.Status, n int64) {
		if n != 0 {
			all[status] = n
		}
	})
	return all
}

// What is done is counted, and what is no more is not counted any longer.
func TestFiguresCountWhatIsDone(t *testing.T) {
	s := openSystem(t, stateDir(t), nil)
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	run(t, rt, "true")
	if got := statuses(s); len(got) != 1 || got[sandbox.StatusReady] != 1 {
		t.Errorf("the runtimes are %v", got)
	}
	if _, err := rt.Run(t.Context(), "kill -9 $SANDBOXD_PID; sleep 60", nil); err != nil { // it is cut off, and the sandbox starts again
		t.Fatal(err)
	}
	run(t, rt, "true")
	if _, err := rt.State(t.Context()); err != nil { // who is answered comes before the figures; this comes after them
		t.Fatal(err)
	}
	f := s.Figures()
	local := f.Backends["local"]
	if n, _, _ := f.Actions.Read(); n != 3 {
		t.Errorf("%d actions", n)
	}
	if n, _, _ := f.Runtimes.Wait.Read(); n != 3 {
		t.Errorf("%d turns", n)
	}
	if a := f.Actors["runtime"]; a.Actors != 1 || a.Restarts != 1 || a.Failures != 1 {
		t.Errorf("the runtime actors are %+v", a)
	}
	if cold := local.Cold.Load(); cold != 2 {
		t.Errorf("%d starts", cold)
	}
	if n := local.Transport.Breakers(breaker.Closed); n != 1 {
		t.Errorf("%d clients", n)
	}
	if f.Journal.Events.Load() == 0 || f.Runtimes.Waiting.Load() != 0 || f.Runtimes.Running.Load() != 0 {
		t.Errorf("%d events, %d wait, %d run", f.Journal.Events.Load(), f.Runtimes.Waiting.Load(), f.Runtimes.Running.Load())
	}
	if _, err := rt.Do(t.Context(), sandbox.Action{}, nil); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Errorf("%v", err)
	}
	if err := rt.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	codes := map[sandbox.Code]uint64{}
	f.Ended.Each(func(c sandbox.Code, n uint64) { codes[c] = n })
	if codes[""] != 3 || codes[sandbox.Invalid] != 1 {
		t.Errorf("the codes are %v", codes)
	}
	if got := statuses(s); len(got) != 0 {
		t.Errorf("the runtimes are %v, after the last has ended", got)
	}
	for _, state := range []breaker.State{breaker.Closed, breaker.HalfOpen, breaker.Open} {
		if n := local.Transport.Breakers(state); n != 0 {
			t.Errorf("%d clients are %v, after the last has ended", n, state)
		}
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s.Healthy() == nil {
		t.Error("what is closed is healthy")
	}
}
