package actors

import (
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestArrows walks every arrow of the diagram, and tries every step that is none.
func TestArrows(t *testing.T) {
	const (
		stopped, building, starting, started = sandbox.StatusStopped, sandbox.StatusBuildingRuntime, sandbox.StatusStartingRuntime, sandbox.StatusRuntimeStarted
		workspace, hooks, ready              = sandbox.StatusSettingWorkspace, sandbox.StatusSettingGitHooks, sandbox.StatusReady
		failing, disconnected, memory        = sandbox.StatusError, sandbox.StatusErrorDisconnected, sandbox.StatusErrorMemory
		recovering                           = sandbox.Status("recovering") // StatusError, with a restart to come
	)
	diagram := map[sandbox.Status][]sandbox.Status{
		stopped:      {stopped, building},
		building:     {stopped, starting, failing, recovering, disconnected, memory},
		starting:     {stopped, started, failing, recovering, disconnected, memory},
		started:      {stopped, workspace, failing, recovering, disconnected, memory},
		workspace:    {stopped, hooks, failing, recovering, disconnected, memory},
		hooks:        {stopped, ready, failing, recovering, disconnected, memory},
		ready:        {stopped, failing, recovering, disconnected, memory},
		recovering:   {stopped, starting},
		failing:      {stopped},
		disconnected: {stopped},
		memory:       {stopped},
	}
	died := func(e sandbox.Exit) error { return unavailable(&ExitError{e}) }
	step := map[sandbox.Status]func(State) State{
		recovering:   func(s State) State { return s.restarting(errAny, 2, 5, time.Unix(9, 0)) },
		failing:      func(s State) State { return s.spent(died(sandbox.Exit{Signal: 9})) },
		disconnected: func(s State) State { return s.spent(failure(sandbox.Lost, "x", "", "gone")) },
		memory:       func(s State) State { return s.spent(died(sandbox.Exit{Memory: true})) },
	}
	for from := range diagram {
		at := State{Status: from}
		if from == recovering {
			at = State{}.restarting(errAny, 1, 5, time.Unix(1, 0))
		}
		for to := range diagram {
			walk, ok := step[to]
			if !ok {
				walk = func(s State) State { return s.move(to, "") }
			}
			next := walk(at)
			want := false
			for _, s := range diagram[from] {
				want = want || s == to
			}
			if got := at.may(next.Status); got != want && !(to == failing || to == recovering) {
				t.Errorf("%s → %s: may is %v, want %v", from, to, got, want)
			}
			if next.Recovering != (to == recovering) || to == recovering && (next.Attempt != 2 || next.NextAt.IsZero()) {
				t.Errorf("%s → %s gives %+v", from, to, next)
			}
			if to != recovering && next.Status != to {
				t.Errorf("%s → %s leads to %s", from, to, next.Status)
			}
		}
	}
}

func TestCauseIsKeptUntilReady(t *testing.T) {
	s := State{Status: sandbox.StatusReady}.restarting(errAny, 1, 2, time.Now()).move(sandbox.StatusStartingRuntime, "")
	if s.Cause != errAny || s.Attempt != 1 {
		t.Errorf("while it is started again: %+v", s)
	}
	if s := s.move(sandbox.StatusReady, ""); s.Cause != nil || s.Attempt != 0 {
		t.Errorf("when it is ready: %+v", s)
	}
	if s := s.spent(errAny).move(sandbox.StatusStopped, ""); s.Cause != errAny {
		t.Errorf("when it has stopped: %+v", s)
	}
}

func TestFatal(t *testing.T) {
	for code, want := range map[sandbox.Code]bool{
		sandbox.Invalid: true, sandbox.Denied: true, sandbox.Unsupported: true, sandbox.Conflict: true,
		sandbox.Unavailable: false, sandbox.Lost: false, sandbox.Exhausted: false, sandbox.Internal: false, sandbox.NotFound: false,
	} {
		if got := Fatal(failure(code, "x", "", "y")); got != want {
			t.Errorf("Fatal(%s) = %v", code, got)
		}
	}
}
