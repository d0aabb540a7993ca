package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Estate is the part of a backend that a janitor looks after.
type Estate interface {
	Name() string
	List(ctx context.Context, owner string) ([]backends.Listed, error)
	Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error
}

// Registry is what a janitor asks of the journal. Keep makes one.
type Registry interface {
	Store
	Leases(ctx context.Context) ([]journal.LeaseRow, error)
	RemoveRuntime(ctx context.Context, id sandbox.ID, epoch uint64) error
}

// atOnce is how many sandboxes a janitor ends at the same time: each may use up its whole grace.
const atOnce = 8

// sweep looks at every sandbox of the estate, and ends those that are overdue.
func (cfg JanitorConfig) sweep(ctx context.Context, r Rule) ([]Finding, error) {
	// In this order: whoever starts a sandbox holds the lease before it can be listed.
	list, unlisted := cfg.Estate.List(ctx, "")
	rows, err := cfg.Registry.Leases(ctx)
	if err != nil {
		return nil, err
	}
	if unlisted != nil {
		if sandbox.CodeOf(unlisted) == sandbox.Unavailable && !slices.ContainsFunc(rows, func(r journal.LeaseRow) bool { return r.Backend == cfg.Estate.Name() }) {
			return nil, nil // a daemon that nobody here needs need not run
		}
		return nil, unlisted
	}
	byID := make(map[sandbox.ID]journal.LeaseRow, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	found := make([]Finding, len(list))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, l := range list {
		row := byID[l.ID]
		if row.Tenure == journal.Stalled && row.Owner == cfg.Owner && !cfg.active(ctx, l.ID) {
			row.Tenure = journal.Free // the process that lives is this one, and has given it up
		}
		found[i] = r.judge(cfg.Estate.Name(), l, row, time.Now())
		if found[i].Verdict != Overdue || r.DryRun {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			found[i] = cfg.end(ctx, found[i], row)
		})
	}
	wg.Wait()
	return found, nil
}

// end ends what f names, if it is still nobody's. What proves that is the lease: while the janitor has it nobody else can
// drive the runtime, and if it is lost meanwhile, the sandbox has a newer epoch by the time that it has been taken.
func (cfg JanitorConfig) end(ctx context.Context, f Finding, row journal.LeaseRow) Finding {
	fail := func(err error) Finding {
		f.Verdict, f.Err = Failed, err
		if sandbox.CodeOf(err) == sandbox.Conflict {
			f.Verdict, f.Err = Taken, nil
		} else if ctx.Err() == nil {
			cfg.Log.Warn("the sandbox of nobody could not be ended", "id", f.ID, "err", err)
		}
		return f
	}
	lease, err := cfg.Registry.Acquire(ctx, f.ID, cfg.Owner+"/janitor", cfg.TTL+max(0, cfg.Grace))
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil { // it lapses, then
			cfg.Log.Warn("the lease could not be released", "id", f.ID, "err", err)
		}
	}()
	ours := isOf(row, cfg.Estate.Name(), f.Epoch)
	epoch := f.Epoch
	if ours {
		if epoch = lease.Epoch(); epoch != row.Epoch+1 { // somebody had it since we looked
			f.Verdict = Taken
			return f
		}
	}
	if err := cfg.Estate.Remove(ctx, f.ID, epoch, cfg.Grace); err != nil {
		return fail(err)
	}
	f.Verdict = Ended
	cfg.Log.Info("ended the sandbox of nobody", "id", f.ID, "epoch", f.Epoch, "owner", f.Owner, "left", f.Left, "exited", f.Exited)
	if err := cfg.record(ctx, f, lease.Epoch(), ours); err != nil {
		cfg.Log.Warn("the end of a sandbox is not on record", "id", f.ID, "err", err)
	}
	return f
}

// record puts the end on record. Of a runtime of which there is none, what the lease has left is taken away.
func (cfg JanitorConfig) record(ctx context.Context, f Finding, epoch uint64, ours bool) error {
	row, err := cfg.Registry.Runtime(ctx, f.ID)
	switch {
	case sandbox.CodeOf(err) == sandbox.NotFound:
		return cfg.Registry.RemoveRuntime(ctx, f.ID, epoch)
	case err != nil || !ours:
		return err
	}
	recs, err := cfg.cut(ctx, f)
	if err != nil {
		return err
	}
	recs = append(recs, journal.Record{Type: journal.TypeStatus, Body: marshal(statusBody{
		StatusUpdate: true, Type: "info", ID: sandbox.StatusStopped, Message: f.told(),
	})})
	if _, err := cfg.Registry.Append(ctx, f.ID, epoch, recs...); err != nil {
		return err
	}
	row.Status, row.Epoch = sandbox.StatusStopped, epoch
	return cfg.Registry.SaveRuntime(ctx, row)
}

// cut says how the actions ended that the sandbox may have been performing.
func (cfg JanitorConfig) cut(ctx context.Context, f Finding) (recs []journal.Record, err error) {
	unsettled, err := cfg.Registry.Unsettled(ctx, f.ID)
	body := wire.AppendObservation(nil, cutOff("The sandbox was ended while it may have been performing this action."))
	for _, r := range unsettled {
		recs = append(recs, journal.Record{Type: journal.TypeObservation, ActionID: r.ActionID, Body: body})
	}
	return recs, err
}

// told is the end of a sandbox in words.
func (f Finding) told() string {
	var b strings.Builder
	b.WriteString("the janitor ended the sandbox")
	if f.Exited {
		b.Reset()
		b.WriteString("the janitor cleared away what the sandbox had left")
	}
	fmt.Fprintf(&b, ": nobody has driven it since %s", f.Left.UTC().Format(time.RFC3339))
	return b.String()
}
