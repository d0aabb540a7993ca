package actors

import (
	"encoding/json"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// A Verdict is what a janitor says of one sandbox, and of what it did about it.
type Verdict string

// The verdicts. Only an orphan that is overdue is ever ended.
const (
	Held    Verdict = "held"    // somebody drives it
	Stalled Verdict = "stalled" // its lease has lapsed, but the process that had it lives and has not let go
	Kept    Verdict = "kept"    // nobody drives it, and it is to live until it is removed
	Unknown Verdict = "unknown" // the journal does not know it, so that it may be somebody's who has another one
	Orphan  Verdict = "orphan"  // nobody drives it, and it is ended when Due
	Overdue Verdict = "overdue" // that time has come
	Ended   Verdict = "ended"   // it has been ended and cleared away
	Taken   Verdict = "taken"   // it was overdue, but somebody took it before it was ended
	Failed  Verdict = "failed"  // it could not be ended: see Err
)

// A Finding is one sandbox as a janitor finds it.
type Finding struct {
	Backend string
	ID      sandbox.ID
	Verdict Verdict
	Owner   string    // who drives it, or drove it last
	Epoch   uint64    // of its label
	Created time.Time // zero if the backend does not know
	Exited  bool      // its server has ended: what there is to end is what that has left
	Left    time.Time // when it was driven last; zero while it is
	Due     time.Time // when it is ended; zero if it is not
	Err     error     // of Failed
}

// A Rule says which sandboxes that nobody drives are ended. The zero Rule ends those whose own OrphanAfter is over.
type Rule struct {
	Grace   time.Duration // how long after it was driven last a sandbox is left alone, if its own OrphanAfter is not longer
	Only    bool          // Grace alone counts. A sandbox that is to live for ever is kept nevertheless
	Unknown bool          // those that the journal does not know too, a Grace after they were made
	DryRun  bool          // nothing is ended
	Since   time.Time     // the grace begins no sooner: whoever comes back to a sandbox after a crash must have the time to
}

// orphanAfter is how long a sandbox outlives its last controller if its spec does not say; sandboxd's own default.
const orphanAfter = 10 * time.Minute

// judge says what is to become of a sandbox. row is what the journal knows of its id; zero if that is nothing.
func (r Rule) judge(backend string, l backends.Listed, row journal.LeaseRow, now time.Time) Finding {
	f := Finding{Backend: backend, ID: l.ID, Owner: l.Owner, Epoch: l.Epoch, Created: l.Created, Exited: l.Exited}
	if !isOf(row, backend, l.Epoch) {
		f.Verdict, f.Left = Unknown, l.Created
		if r.Unknown {
			return r.orphan(f, 0, now)
		}
		return f
	}
	f.Owner, f.Left = row.Owner, row.Left
	switch row.Tenure {
	case journal.Held:
		f.Verdict = Held
		return f
	case journal.Stalled:
		f.Verdict = Stalled
		return f
	}
	var spec savedSpec
	if len(row.Spec) > 0 && json.Unmarshal(row.Spec, &spec) != nil {
		f.Verdict = Kept // of what cannot be read it is not known that it may be ended
		return f
	}
	switch {
	case spec.OrphanAfter < 0:
		f.Verdict = Kept
		return f
	case spec.OrphanAfter == 0:
		spec.OrphanAfter = orphanAfter
	}
	return r.orphan(f, spec.OrphanAfter, now)
}

// isOf says whether row tells of a sandbox on that backend whose label has that epoch. A runtime that is known on another
// backend, or that has never had the epoch, is another one with the same id.
func isOf(row journal.LeaseRow, backend string, epoch uint64) bool {
	return row.ID != "" && (row.Backend == "" || row.Backend == backend) && epoch <= row.Epoch
}

// orphan says when f is ended, which nobody drives; own is how long it asks to be left alone.
func (r Rule) orphan(f Finding, own time.Duration, now time.Time) Finding {
	wait := max(r.Grace, own)
	if r.Only {
		wait = r.Grace
	}
	f.Left = later(f.Left, f.Created)
	f.Due = later(f.Left, r.Since).Add(wait)
	f.Verdict = Orphan
	if !f.Due.After(now) {
		f.Verdict = Overdue
	}
	return f
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
