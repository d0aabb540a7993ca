package sandbox

import "time"

// A Phase is one step of the start of a sandbox. Phases follow one another; one whose name has a dot, as in "place.spawn",
// is a part of the one that is named before the dot. A step that was tried again is there again.
type Phase struct {
	Name  string
	Begun time.Time // with a monotonic reading
	Took  time.Duration
}

// The phases of a start, in their order. A start that has nothing to do in one leaves it out.
const (
	PhaseLease  = "lease"  // the journal: the lease is taken, what went before is recalled
	PhaseAttach = "attach" // a sandbox from before is looked for
	PhaseAdmit  = "admit"  // this host's room is asked for
	PhasePlace  = "place"  // the driver's part: until the infrastructure has accepted it or, with some drivers, until the server answers
	PhaseSpawn  = "place.spawn"
	PhaseBoot   = "place.boot"
	PhaseReady  = "ready"  // the server inside answers and works for us, unless the driver has seen to that
	PhaseSetUp  = "set-up" // environment, repository, its set-up script
	PhaseHooks  = "hooks"  // its hook
)
