package kit

import "time"

// Kind says whether a child that ended is started again.
type Kind int

// The kinds of children.
const (
	Permanent Kind = iota // always
	Transient             // unless it ended well
	Temporary             // never
)

var kinds = [...]string{"permanent", "transient", "temporary"}

func (k Kind) String() string { return kinds[k] }

// A Strategy says what follows a death. It is pure: no clock, no chance, no I/O.
type Strategy func(Death, History) []Effect

// A Death tells a strategy which child ended, and how.
type Death struct {
	Children []Child   // of the supervisor, in the order of their start, the dead one included
	Who      int       // index of the dead one
	Why      error     // ErrNormal if it ended well
	At       time.Time // of the death
	Random   float64   // in [0, 1), for whoever wants chance
}

// A Child is what a strategy sees of one.
type Child struct {
	Name string
	Kind Kind
}

// History tells of the restarts that this supervisor has made, oldest first, the last HistoryKept of them.
type History []Restart

// HistoryKept is how many restarts a supervisor remembers, which bounds the intensity that a strategy can watch.
const HistoryKept = 256

// A Restart was made because Child died At.
type Restart struct {
	Child string
	At    time.Time
}

// Op is the verb of an effect.
type Op int

// The verbs.
const (
	Pause    Op = iota // the child ends, but is kept with its queue, to begin again later; nothing if it is not up
	Begin              // the child begins with a fresh state; nothing if it is up
	End                // the child ends for good and is forgotten
	Escalate           // the supervisor fails with the child's failure
)

var ops = [...]string{"pause", "begin", "end", "escalate"}

func (o Op) String() string { return ops[o] }

// An Effect is one thing to do. The effects of one death are done in order, each when the one before is complete.
type Effect struct {
	Op      Op
	Child   int           // index in Death.Children
	After   time.Duration // Begin only: wait this long first
	Attempt int           // Begin of the dead child: which restart in the window this is, from 1
	Of      int           // restarts allowed in the window
}

// escalate is the strategy of an actor that has none.
func escalate(d Death, _ History) []Effect {
	if d.Why == ErrNormal {
		return []Effect{{Op: End, Child: d.Who}}
	}
	return []Effect{{Op: Escalate, Child: d.Who}}
}

// ChildEvent is what a Watcher hears.
type ChildEvent struct {
	Name string
	What Change
	Err  error // of Died and Ended: why; nil if the child ended well or was told to

	// Of Died: a restart will follow.
	Attempt, Of int
	Next        time.Time
}

// Change is what became of a child.
type Change int

// The changes. A child that dies and is not started again is Ended, without Died.
const (
	Up    Change = iota // started, or started again
	Died                // and will be started again at Next
	Ended               // gone for good; its name is free
)
