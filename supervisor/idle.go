package supervisor

import (
	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/sandbox"
)

// Idle says when the sandbox of a runtime rests that nobody uses.
type Idle = sandbox.Idle

// Rest is how the sandbox of a runtime rests, in State.
type Rest = actors.Rest

// The ways to rest.
const (
	Paused = actors.Paused // its processes are stopped where they are
	Halted = actors.Halted // its processes have ended; its files are there
)

func checkIdle(i Idle) error {
	if err := i.Check(); err != nil {
		return invalid("Config.Idle", err)
	}
	return nil
}

// resting is when a runtime of spec rests here.
func (s *System) resting(spec sandbox.Spec) Idle {
	return actors.Config{Idle: s.cfg.Idle}.Resting(spec)
}
