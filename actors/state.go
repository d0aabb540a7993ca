package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// State is what a steward says of its runtime.
type State struct {
	Status  sandbox.Status
	Message string // of the last change, for people; may be ""

	// Of StatusError: a restart follows, the Attempt-th of Of in the window, at NextAt.
	Recovering  bool
	Attempt, Of int
	NextAt      time.Time

	Idle       Rest     // how the sandbox rests while nobody uses it, of StatusStopped; "" if it does not
	Cause      error    // of the last failure, until the runtime is ready again; it stays when it is stopped
	Queued     int      // actions that wait
	Running    string   // id of the action in flight; "" if there is none
	Epoch      uint64   // of the activation
	Closing    bool     // the activation is ending
	Breaker    string   // of the connection to the sandbox: "closed" is well, "half-open", "open"; "" while there is none
	Unenforced []string // limits that the backend does not enforce

	// Phases are the steps of the latest start with their times, once the runtime is ready; not to be changed.
	Phases []sandbox.Phase
}

// Change is one change of status, or one that a controller has reported.
type Change struct {
	ID       sandbox.ID
	Time     time.Time
	State    State
	Reported bool // by a controller, about something else than the runtime: its own state is as before
}

// bringUp are the steps from stopped to ready.
var bringUp = []sandbox.Status{
	sandbox.StatusBuildingRuntime, sandbox.StatusStartingRuntime, sandbox.StatusRuntimeStarted,
	sandbox.StatusSettingWorkspace, sandbox.StatusSettingGitHooks, sandbox.StatusReady,
}

// arrow is one of the diagram in the package comment. An error is two states: one that recovers and one that does not.
type arrow struct {
	from       sandbox.Status
	recovering bool // from is
	to         sandbox.Status
}

// arrows are the changes that there are, besides those that every state has.
var arrows = makeArrows()

func makeArrows() map[arrow]bool {
	m := map[arrow]bool{
		{from: sandbox.StatusStopped, to: sandbox.StatusBuildingRuntime}:                 true,
		{from: sandbox.StatusError, recovering: true, to: sandbox.StatusStartingRuntime}: true,
	}
	for i, from := range bringUp {
		if i+1 < len(bringUp) {
			m[arrow{from: from, to: bringUp[i+1]}] = true
		}
		for _, to := range failed {
			m[arrow{from: from, to: to}] = true
		}
	}
	return m
}

// failed are the statuses of a runtime that has failed. Only the first may be recovering.
var failed = []sandbox.Status{sandbox.StatusError, sandbox.StatusErrorDisconnected, sandbox.StatusErrorMemory}

// may says whether the diagram has an arrow from s to a status.
func (s State) may(to sandbox.Status) bool {
	return to == sandbox.StatusStopped || arrows[arrow{s.Status, s.Recovering, to}]
}

// move is s after a step that is no failure.
func (s State) move(to sandbox.Status, message string) State {
	s.Status, s.Message, s.Recovering, s.NextAt, s.Idle = to, message, false, time.Time{}, ""
	if to == sandbox.StatusReady {
		s.Cause, s.Attempt, s.Of = nil, 0, 0
	}
	return s
}

// sleeps is s after its sandbox has come to rest.
func (s State) sleeps(how Rest, message string) State {
	s = s.move(sandbox.StatusStopped, message)
	s.Idle = how
	return s
}

// restarting is s after a failure of the runtime that will be restarted.
func (s State) restarting(why error, attempt, of int, next time.Time) State {
	s.Status, s.Recovering, s.Cause = sandbox.StatusError, true, why
	s.Attempt, s.Of, s.NextAt = attempt, of, next
	s.Message = fmt.Sprintf("%v; restart %d of %d follows", why, attempt, of)
	return s
}

// spent is s after a failure of the runtime that will not be restarted.
func (s State) spent(why error) State {
	if why == nil {
		why = errors.New("the runtime has ended")
	}
	s.Status, s.Recovering, s.Cause = verdict(why), false, why
	s.Attempt, s.Of, s.NextAt = 0, 0, time.Time{}
	s.Message = why.Error()
	return s
}

// verdict is the status of a runtime that failed with err and will not be restarted.
func verdict(err error) sandbox.Status {
	if e, ok := errors.AsType[*ExitError](err); ok {
		if e.Exit.Memory {
			return sandbox.StatusErrorMemory
		}
		return sandbox.StatusError
	}
	switch sandbox.CodeOf(err) {
	case sandbox.Unavailable, sandbox.Lost:
		return sandbox.StatusErrorDisconnected
	}
	return sandbox.StatusError
}
