package actors

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// A janitor ends the sandboxes of one backend that nobody drives any more, as those of a controller that was killed. It
// looks when one of them is due, and now and then for others: nothing tells of the death of a process of another host.
//
// What proves that a sandbox is somebody's is the lease in the journal: it has not lapsed, or the process that took it
// lives and has not let go. So of several janitors that share a state directory none ends what another's system drives,
// and of several that find an orphan one gets the lease and ends it.

// Messages.
type (
	janitorMsg interface{ janitorMsg() } // sealed: those below and no other
	sweepDue   struct{}                  // event, from the timer
	collect    struct {                  // command
		kit.Reply[[]Finding]
		rule    Rule
		unasked bool // it is the timer's
	}
	swept struct { // event: a sweep has ended
		found []Finding
		err   error
	}
)

func (sweepDue) janitorMsg() {}
func (collect) janitorMsg()  {}
func (swept) janitorMsg()    {}

// JanitorConfig says what a janitor looks after. All but Runtimes is needed.
type JanitorConfig struct {
	Estate   Estate
	Registry Registry
	Runtimes *Runtimes     // that are driven here
	Owner    string        // as of Config
	TTL      time.Duration // of a lease, besides the Grace
	Grace    time.Duration // for what runs in a sandbox that is ended
	Rule     Rule          // of what it does unasked
	Interval time.Duration // between looks that nothing gives cause for; not positive: none
	Log      *slog.Logger

	figures *JanitorFigures
}

// active says whether a steward here answers for a runtime, as far as that can be known.
func (cfg JanitorConfig) active(ctx context.Context, id sandbox.ID) bool {
	if cfg.Runtimes == nil {
		return true
	}
	_, err := cfg.Runtimes.Find(ctx, id)
	return sandbox.CodeOf(err) != sandbox.NotFound
}

// State. Only Receive and what it calls touch it.
type janitor struct {
	cfg  JanitorConfig
	busy bool      // a sweep is under way
	now  collect   // what that is for
	next []collect // that wait for its end
}

// Started sets the timer: what is due is not yet known.
func (j *janitor) Started(c *kit.Context[janitorMsg]) error {
	j.wait(c, nil)
	return nil
}

// Receive implements kit.Actor.
func (j *janitor) Receive(c *kit.Context[janitorMsg], m janitorMsg) error {
	switch m := m.(type) {
	case sweepDue:
		j.next = append(j.next, collect{rule: j.cfg.Rule, unasked: true})
		j.sweep(c)
	case collect:
		j.next = append(j.next, m)
		j.sweep(c)
	case swept:
		j.swept(c, m)
	}
	return nil
}

// sweep begins the next sweep, if none is under way.
func (j *janitor) sweep(c *kit.Context[janitorMsg]) {
	if j.busy || len(j.next) == 0 {
		return
	}
	j.busy, j.now, j.next = true, j.next[0], j.next[1:]
	cfg, rule := j.cfg, j.now.rule
	c.Task(func(ctx context.Context) janitorMsg {
		found, err := cfg.sweep(ctx, rule)
		return swept{found, err}
	})
}

func (j *janitor) swept(c *kit.Context[janitorMsg], m swept) {
	j.busy = false
	j.cfg.figures.add(m)
	if m.err != nil {
		j.now.Err(m.err)
		j.cfg.Log.Warn("the sandboxes could not be looked at", "err", m.err)
	} else {
		j.now.OK(m.found)
	}
	if j.now.unasked {
		j.wait(c, m.found)
	}
	j.sweep(c)
}

// Stopped answers those who wait.
func (j *janitor) Stopped(_ *kit.Context[janitorMsg], err error) {
	err = cmp.Or(err, failure(sandbox.Unavailable, "janitor", "", "it was stopped"))
	j.now.Err(err) // of what has been answered the first answer counts
	for _, m := range j.next {
		m.Err(err)
	}
}

// soonest keeps a janitor from looking all the time for what is not yet due by a little.
const soonest = time.Second

// wait sets the timer for when the first of found is due, or for the next look. That is a random tenth sooner or later, so
// that the janitors of many processes do not look all at once.
func (j *janitor) wait(c *kit.Context[janitorMsg], found []Finding) {
	if j.cfg.Interval <= 0 {
		return
	}
	d := time.Duration(float64(j.cfg.Interval) * (0.9 + 0.2*rand.Float64()))
	for _, f := range found {
		if f.Verdict == Orphan {
			d = min(d, max(soonest, time.Until(f.Due)))
		}
	}
	c.After(d, sweepDue{})
}

// Janitor is how others reach a janitor. Safe for concurrent use.
type Janitor struct {
	cfg JanitorConfig
	ref atomic.Pointer[kit.Ref[janitorMsg]]
}

// NewJanitor makes a janitor, to be started as a Member.
func NewJanitor(cfg JanitorConfig) *Janitor {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)).With("backend", cfg.Estate.Name())
	cfg.figures = &JanitorFigures{}
	return &Janitor{cfg: cfg}
}

// Member starts the janitor below a group.
func (j *Janitor) Member() kit.Member {
	return kit.MemberOf("janitor", kit.Permanent, func() kit.Actor[janitorMsg] { return &janitor{cfg: j.cfg} },
		func(ref kit.Ref[janitorMsg]) { j.ref.Store(&ref) })
}

// Backend is whose sandboxes it looks at.
func (j *Janitor) Backend() string { return j.cfg.Estate.Name() }

// Figures are read as they go on.
func (j *Janitor) Figures() *JanitorFigures { return j.cfg.figures }

// JanitorFigures are what a janitor has done.
type JanitorFigures struct {
	Sweeps, Blind atomic.Uint64 // looks at all sandboxes, and those of them in which they could not be seen
	Ended, Failed atomic.Uint64 // sandboxes that it has ended, and that it could not end
	Orphans       atomic.Int64  // at the latest look: those that nobody drives and that are still there
}

func (f *JanitorFigures) add(m swept) {
	f.Sweeps.Add(1)
	if m.err != nil {
		f.Blind.Add(1)
		return
	}
	orphans := int64(0)
	for _, s := range m.found {
		switch s.Verdict {
		case Ended:
			f.Ended.Add(1)
		case Failed:
			f.Failed.Add(1)
			orphans++
		case Orphan, Overdue:
			orphans++
		}
	}
	f.Orphans.Store(orphans)
}

// Collect looks at all sandboxes of the backend now, and ends those that r says. ctx bounds the wait, not the work.
// Codes: those of listing the backend and of reading the journal; Unavailable, Canceled.
func (j *Janitor) Collect(ctx context.Context, r Rule) ([]Finding, error) {
	var ref kit.Ref[janitorMsg]
	if p := j.ref.Load(); p != nil {
		ref = *p
	}
	return kit.Ask(ctx, ref, func(reply kit.Reply[[]Finding]) janitorMsg { return collect{Reply: reply, rule: r} })
}
