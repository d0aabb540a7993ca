package actors

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// registry is a memory that knows which processes live.
type registry struct {
	*memory
	mu    sync.Mutex
	lives map[string]bool // by owner; of others nothing is known
	asked func()          // is called by Leases, if set
}

func (r *registry) Leases(context.Context) (rows []journal.LeaseRow, err error) {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	if asked != nil {
		defer asked() // what follows is decided on what was
	}
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, l := range r.leases {
		row := journal.LeaseRow{ID: id, Epoch: l.epoch, Owner: l.holder, Tenure: journal.Held, Backend: r.rows[id].Backend, Spec: r.rows[id].Spec}
		lives, known := r.lives[l.holder]
		switch lapsed := !time.Now().Before(l.expires); {
		case l.holder == "": // it is not told when, but the runtime was saved right before
			row.Tenure, row.Left = journal.Free, r.rows[id].Updated
		case lapsed && !lives:
			row.Tenure, row.Left = journal.Free, l.expires
		case known && !lives:
			row.Tenure, row.Left = journal.Free, time.Now()
		case lapsed:
			row.Tenure, row.Left = journal.Stalled, l.expires
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *registry) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *registry) RemoveRuntime(_ context.Context, id sandbox.ID, _ uint64) error {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	delete(r.leases, id)
	return nil
}

// estate is a world as its janitor sees it.
type estate struct {
	*world
	mu  sync.Mutex
	err error         // of Remove, if set
	log []string      // "id@epoch" for each Remove
	lag time.Duration // how long Remove takes
}

func (e *estate) List(context.Context, string) (list []backends.Listed, err error) {
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(e.boxes)) {
		b := e.boxes[id]
		list = append(list, backends.Listed{ID: id, Epoch: b.held(), Exited: b.died()})
	}
	return list, nil
}

func (e *estate) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	e.mu.Lock()
	err, lag := e.err, e.lag
	e.mu.Unlock()
	select {
	case <-time.After(lag):
	case <-ctx.Done():
		return ctx.Err()
	}
	e.mu.Lock()
	e.log = append(e.log, fmt.Sprintf("%s@%d", id, epoch))
	e.mu.Unlock()
	if b := e.box(id); b != nil && b.held() > epoch {
		return failure(sandbox.Conflict, "remove", id, "a newer epoch holds it")
	}
	if err != nil {
		return err
	}
	return e.world.Remove(ctx, id, epoch, grace)
}

func (b *box) held() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epoch
}

func (e *estate) set(err error, lag time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err, e.lag = err, lag
}

func (e *estate) removed() string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.log, " ")
}

// premises are a rig with a janitor.
type premises struct {
	*rig
	registry *registry
	estate   *estate
	janitor  *Janitor
	sys      *kit.System // of the janitor
}

const interval = time.Minute

func newPremises(t *testing.T, r *rig, owner string) *premises {
	p := &premises{rig: r, registry: &registry{memory: r.store, lives: map[string]bool{owner: true}}, estate: &estate{world: r.world}}
	p.janitor = p.another(owner)
	p.sys = kit.NewSystem(kit.Config{})
	if _, err := kit.Spawn(p.sys, "root", kit.Permanent, kit.Group(nil, p.janitor.Member())); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return p
}

func (p *premises) another(owner string) *Janitor {
	return NewJanitor(JanitorConfig{
		Estate: p.estate, Registry: p.registry, Runtimes: p.runtimes, Owner: owner, TTL: ttl, Grace: time.Second, Interval: interval,
		Rule: Rule{Since: time.Now()}, Log: slog.New(slog.DiscardHandler),
	})
}

func (p *premises) close() {
	if err := p.sys.Stop(context.Background()); err != nil {
		p.t.Error(err)
	}
}

func (p *premises) collect(r Rule) map[sandbox.ID]Finding {
	p.t.Helper()
	found, err := p.janitor.Collect(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	by := map[sandbox.ID]Finding{}
	for _, f := range found {
		by[f.ID] = f
	}
	return by
}

// tended is where a janitor works beside the runtimes of a living controller.
func tended(t *testing.T, f func(t *testing.T, p *premises)) {
	t.Helper()
	bubble(t, func(t *testing.T, r *rig) {
		p := newPremises(t, r, "one")
		defer p.close()
		f(t, p)
	})
}

func TestJudge(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	spec := func(d time.Duration) []byte { return marshal(savedSpec{OrphanAfter: d}) }
	free := func(left time.Duration, spec []byte) journal.LeaseRow {
		return journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Free, Left: ago(left), Backend: "b", Spec: spec}
	}
	old := backends.Listed{ID: "a", Epoch: 3, Created: ago(24 * time.Hour)}
	for name, c := range map[string]struct {
		rule   Rule
		listed backends.Listed
		row    journal.LeaseRow
		want   Verdict
		due    time.Time
	}{
		"held":                      {listed: old, row: journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Held, Backend: "b"}, want: Held},
		"stalled":                   {listed: old, row: journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Stalled, Left: ago(time.Hour), Backend: "b"}, want: Stalled},
		"stalled, by hand":          {rule: Rule{Only: true}, listed: old, row: journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Stalled, Backend: "b"}, want: Stalled},
		"free, default":             {listed: old, row: free(9*time.Minute, nil), want: Orphan, due: now.Add(time.Minute)},
		"free, default, over":       {listed: old, row: free(10*time.Minute, nil), want: Overdue, due: now},
		"free, own time":            {listed: old, row: free(time.Hour, spec(2*time.Hour)), want: Orphan, due: now.Add(time.Hour)},
		"free, own time, by hand":   {rule: Rule{Grace: time.Minute, Only: true}, listed: old, row: free(time.Hour, spec(2*time.Hour)), want: Overdue, due: ago(59 * time.Minute)},
		"free, longer grace":        {rule: Rule{Grace: time.Hour}, listed: old, row: free(30*time.Minute, spec(time.Minute)), want: Orphan, due: now.Add(30 * time.Minute)},
		"for ever":                  {listed: old, row: free(time.Hour, spec(-1)), want: Kept},
		"for ever, by hand":         {rule: Rule{Only: true}, listed: old, row: free(time.Hour, spec(-1)), want: Kept},
		"a spec of another program": {rule: Rule{Only: true}, listed: old, row: free(time.Hour, []byte(`"?"`)), want: Kept},
		"since":                     {rule: Rule{Since: ago(time.Minute)}, listed: old, row: free(24*time.Hour, nil), want: Orphan, due: now.Add(9 * time.Minute)},
		"made after the lease":      {listed: backends.Listed{ID: "a", Epoch: 3, Created: ago(time.Minute)}, row: free(time.Hour, nil), want: Orphan, due: now.Add(9 * time.Minute)},
		"not in the journal":        {listed: old, want: Unknown},
		"on another backend":        {listed: old, row: journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Held, Backend: "c"}, want: Unknown},
		"an epoch that never was":   {listed: backends.Listed{ID: "a", Epoch: 4}, row: free(time.Hour, nil), want: Unknown},
		"not saved yet":             {listed: old, row: journal.LeaseRow{ID: "a", Epoch: 3, Tenure: journal.Free, Left: ago(time.Hour)}, want: Overdue, due: ago(50 * time.Minute)},
		"unknown, by hand":          {rule: Rule{Unknown: true, Grace: time.Hour}, listed: old, want: Overdue, due: ago(23 * time.Hour)},
		"unknown, by hand, new":     {rule: Rule{Unknown: true, Grace: time.Hour}, listed: backends.Listed{ID: "a", Created: ago(time.Minute)}, want: Orphan, due: now.Add(59 * time.Minute)},
	} {
		f := c.rule.judge("b", c.listed, c.row, now)
		if f.Verdict != c.want || !f.Due.Equal(c.due) {
			t.Errorf("%s: %s due %v, want %s due %v", name, f.Verdict, f.Due, c.want, c.due)
		}
	}
}

func TestJanitorEndsWhatADeadControllerHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		r.world.box("a").slow = "forever"
		start(s, command("x", "forever"))
		died := time.Now()
		other := newRig(t, "two", r.store, r.world)
		defer other.stop()
		p := newPremises(t, other, "two")
		defer p.close()
		p.registry.set(func() { p.registry.lives["one"] = false })
		r.stop() // without a word
		time.Sleep(orphanAfter - time.Second)
		if got := p.estate.removed(); got != "" {
			t.Fatalf("removed before the grace was over: %s", got)
		}
		if f := p.collect(Rule{})["a"]; f.Verdict != Orphan || f.Owner != "one" {
			t.Errorf("it is %+v", f)
		}
		time.Sleep(ttl + 2*time.Second) // the lease counts, whose end is known better than that of its process
		if got := p.estate.removed(); got != "a@2" {
			t.Fatalf("removed %q, %v after the death", got, time.Since(died))
		}
		r.expectHistory("spec " + broughtUp + " +x -x(interrupted) STOPPED")
		if h := r.store.holder("a"); h != "" {
			t.Errorf("%s still holds the lease", h)
		}
		if _, _, err := other.runtimes.Open(t.Context(), other.order("a")); err != nil {
			t.Errorf("opened again: %v", err)
		}
	})
}

func TestJanitorLeavesALivingControllersAlone(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		p.open("a")
		p.open("b")
		time.Sleep(time.Hour)
		for _, rule := range []Rule{{}, {Only: true}, {Only: true, Unknown: true}} {
			for id, f := range p.collect(rule) {
				if f.Verdict != Held {
					t.Errorf("%s: %+v", id, f)
				}
			}
		}
		// One that cannot renew its leases, but lives.
		p.store.mu.Lock()
		p.store.broken = errAny
		p.store.mu.Unlock()
		time.Sleep(2 * orphanAfter)
		if f := p.collect(Rule{Only: true})["a"]; f.Verdict != Stalled {
			t.Errorf("one that could not renew its lease: %+v", f)
		}
		if got := p.estate.removed(); got != "" {
			t.Errorf("removed %s", got)
		}
	})
}

// What the process of the janitor itself has given up is nobody's, though the process lives.
func TestJanitorEndsWhatItsOwnProcessHasGivenUp(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		p.open("a")
		p.rig.stop()
		// The activator has gone too, so that it cannot be asked.
		if f := p.collect(Rule{Only: true, Grace: time.Hour})["a"]; f.Verdict != Held {
			t.Errorf("with its lease: %+v", f)
		}
		time.Sleep(time.Minute)
		if f := p.collect(Rule{Only: true})["a"]; f.Verdict != Stalled {
			t.Errorf("while nobody can tell: %+v", f)
		}
		fresh := newRig(t, "one", p.store, p.world)
		defer fresh.stop()
		p.janitor.cfg.Runtimes = fresh.runtimes
		j := p.another("one")
		j.cfg.Runtimes = fresh.runtimes
		found, err := j.cfg.sweep(t.Context(), Rule{Only: true})
		if err != nil || len(found) != 1 || found[0].Verdict != Ended {
			t.Errorf("given up: %+v, %v", found, err)
		}
	})
}

func TestJanitorGoesByWholeIDs(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		for _, id := range []sandbox.ID{"a", "a-b", "ab", "a.b"} {
			p.open(id)
		}
		s := p.open("a")
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(orphanAfter + interval + interval/10)
		if got := p.estate.removed(); got != "a@2" {
			t.Errorf("removed %s, want a alone", got)
		}
	})
}

func TestJanitorYieldsToWhoeverComesFirst(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		// It is opened again between the look and the deed.
		p.registry.set(func() { p.registry.asked = func() { p.open("a") } })
		if f := p.collect(Rule{Only: true})["a"]; f.Verdict != Taken {
			t.Errorf("opened meanwhile: %+v", f)
		}
		// Opened and let go of again: whoever did so has been promised its time.
		p.registry.set(func() { p.registry.asked = func() { _ = p.open("a").Close(t.Context()) } })
		_ = p.open("a").Close(t.Context())
		if f := p.collect(Rule{Only: true})["a"]; f.Verdict != Taken {
			t.Errorf("opened and let go of meanwhile: %+v", f)
		}
		if got := p.estate.removed(); got != "" {
			t.Errorf("removed %s", got)
		}
	})
}

// A janitor that slept between the lease and the deed does not end the sandbox of the next to drive it.
func TestJanitorThatSleptIsFenced(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.estate.set(nil, time.Hour)
		done := make(chan map[sandbox.ID]Finding)
		go func() { done <- p.collect(Rule{Only: true}) }()
		time.Sleep(time.Minute) // its lease has lapsed
		s := p.open("a")
		time.Sleep(time.Hour)
		if f := (<-done)["a"]; f.Verdict != Taken {
			t.Errorf("it is %+v", f)
		}
		if p.world.box("a") == nil {
			t.Fatal("the sandbox of the newer activation was ended")
		}
		if st := p.state(s); st.Status != sandbox.StatusReady {
			t.Errorf("its runtime is %s", st.Status)
		}
	})
}

func TestTwoJanitorsEndAnOrphanOnce(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.registry.set(func() { p.registry.asked = func() { time.Sleep(time.Second) } }) // so that both have seen it before either does anything
		verdicts := make(chan Verdict, 2)
		var wg sync.WaitGroup
		for _, owner := range []string{"two", "three"} {
			j := p.another(owner)
			wg.Go(func() {
				found, err := j.cfg.sweep(t.Context(), Rule{Only: true})
				if err != nil || len(found) != 1 {
					t.Errorf("%v, %v", found, err)
					return
				}
				verdicts <- found[0].Verdict
			})
		}
		wg.Wait()
		if got := map[Verdict]bool{<-verdicts: true, <-verdicts: true}; !got[Ended] || !got[Taken] {
			t.Errorf("they say %v", got)
		}
	})
}

func TestJanitorTriesAgain(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.estate.set(failure(sandbox.Unavailable, "remove", "a", "the daemon is away"), 0)
		time.Sleep(orphanAfter + 3*interval)
		if n := strings.Count(p.estate.removed(), "a@"); n < 1 || n > 5 {
			t.Errorf("it was tried %d times in some three intervals", n)
		}
		f := p.collect(Rule{})["a"]
		if f.Verdict != Failed || sandbox.CodeOf(f.Err) != sandbox.Unavailable {
			t.Errorf("it is %+v", f)
		}
		p.estate.set(nil, 0)
		time.Sleep(2 * interval)
		if p.world.box("a") != nil {
			t.Error("it is still there")
		}
	})
}

func TestDryRunEndsNothing(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := p.collect(Rule{Only: true, DryRun: true})["a"]; f.Verdict != Overdue || p.estate.removed() != "" {
			t.Errorf("it is %+v, removed %q", f, p.estate.removed())
		}
	})
}

func TestUnknownIsEndedOnlyByHand(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		p.open("mine")
		_, _, err := p.world.Start(t.Context(), sandbox.Spec{ID: "x", Epoch: 7})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if f := p.collect(Rule{Only: true})["x"]; f.Verdict != Unknown {
			t.Errorf("it is %+v", f)
		}
		if f := p.collect(Rule{Unknown: true})["x"]; f.Verdict != Ended {
			t.Errorf("it is %+v", f)
		}
		if got := p.estate.removed(); got != "x@7" {
			t.Errorf("removed %s", got)
		}
		if _, left := p.store.leases["x"]; left {
			t.Error("a lease is left of it")
		}
	})
}

func TestJanitorAnswersOnItsWayOut(t *testing.T) {
	tended(t, func(t *testing.T, p *premises) {
		if err := p.open("a").Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.estate.set(nil, time.Minute)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := p.janitor.Collect(t.Context(), Rule{Only: true})
				errs <- err
			}()
			synctest.Wait()
		}
		p.close()
		for range 2 {
			expectCode(t, "Collect", <-errs, sandbox.Unavailable)
		}
	})
}
