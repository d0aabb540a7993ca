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
	PhaseReady  = "ready"  // the server inside answers and works for us, unless the driver has seen to that
	PhaseSetUp  = "set-up" // environment, repository, its set-up script
	PhaseHooks  = "hooks"  // its hook
)

// The parts of PhasePlace, of which a driver has those that cost it something.
const (
	PhaseRestore = "place.restore" // the files of a snapshot
	PhasePull    = "place.pull"    // the image is pulled, or waited for
	PhaseCreate  = "place.create"  // a container is made of it
	PhaseCopy    = "place.copy"    // the server is copied to where it cannot be mounted
	PhaseConnect = "place.connect" // to the container's standard streams
	PhaseSpawn   = "place.spawn"   // the process, or the container, is started
	PhaseBoot    = "place.boot"    // until the server inside says that it serves; a kernel of the sandbox's own comes up first
	PhaseNetwork = "place.network" // its ways out are opened, where that is not done meanwhile
)
