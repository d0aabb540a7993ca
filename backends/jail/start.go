package jail

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// check says whether spec can be started at all. Codes: Invalid, Unsupported.
func check(spec sandbox.Spec) error {
	refuse := func(code sandbox.Code, field string, err error) error {
		return &sandbox.Error{Code: code, Op: field, ID: spec.ID, Err: err}
	}
	switch disk := spec.Limits.Disk; {
	case disk > 0 && spec.Workspace != "":
		return refuse(sandbox.Unsupported, "limits.disk", errors.New("the workspace is a directory of the host, which is not bounded: leave it to the sandbox, or disk"))
	case disk > 0 && disk < leastDisk:
		return refuse(sandbox.Invalid, "limits.disk", fmt.Errorf("want at least %d bytes, have %d", leastDisk, disk))
	}
	return nil
}

// differs says why a living sandbox cannot be had with spec: some limits are in its file systems, its server's arguments and its way
// out, and what is told is in its filter. Code: Conflict.
func differs(l *label, spec sandbox.Spec) error {
	if effective(l.Limits, spec.Limits) != effective(spec.Limits, spec.Limits) {
		return homes.ErrLimits
	}
	if !l.Audit.Equal(spec.Audit) {
		return homes.Coded(sandbox.Conflict, errors.New("it lives and tells of other things, which cannot be changed while it does: halt it first, "+
			"or ask for the audit that it has"))
	}
	return nil
}

// abandoned ends a living sandbox of which a snapshot was cut off.
func (d *Driver) abandoned(ctx context.Context, l *label, p *held.Process) (bool, error) {
	if l.Pending == nil {
		return false, nil
	}
	return true, d.abandon(ctx, *l, p)
}

// revive makes a sandbox ready to be started again whose server is dead.
func (d *Driver) revive(ctx context.Context, h homes.Home, l *label) error {
	if err := errors.Join(d.settle(home{h}, l), home{h}.goOn()); err != nil {
		return err
	}
	return homes.Ungroup(ctx, &l.Label) // a new one counts from zero, and takes other limits in any order
}

// renew says in a label what only jails have there.
func (d *Driver) renew(_ homes.Home, l *label, spec sandbox.Spec) {
	l.Audit = spec.Audit
	if l.InMemory {
		l.DiskSize = d.diskSize(spec.Limits) // it is made anew
	}
	if l.Mark != "" {
		return
	}
	l.Mark = newMark()
	if l.Imaged, l.InMemory = d.imaged(spec.Limits), d.inMemory(); l.Imaged {
		l.DiskSize = d.diskSize(spec.Limits)
		if !l.Named {
			l.Workspace = "" // the host does not see it
		}
	}
}

// renewed is the label of a sandbox that is to be started by spec; l is the old one, or zero for a new sandbox.
func (d *Driver) renewed(h home, l label, spec sandbox.Spec) label {
	d.homes.Renew(h.Home, &l, spec)
	return l
}

// place starts a server and gives it what it needs, of which it notes in l what is not in the home. It leaves to the
// caller to undo what it made.
func (d *Driver) place(ctx context.Context, at homes.Home, l *label, spec sandbox.Spec, fresh bool) (*homes.Instance[label], error) {
	h := home{at}
	if fresh {
		if err := d.beginFresh(ctx, h, l, spec); err != nil {
			return nil, err
		}
	}
	program, err := d.sandboxd()
	if err == nil {
		err = d.suffices()
	}
	if err != nil {
		return nil, err
	}
	if err := d.homes.Resolve(&l.Label); err != nil {
		return nil, err
	}
	if err := d.homes.Claim(&l.Label); err != nil {
		return nil, err
	}
	if err := h.write(*l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	s, err := d.spawn(h, *l, program, d.arguments(spec))
	if spawned(err); err != nil {
		return nil, err
	}
	return d.hand(ctx, h, *l, spec, s, l.InMemory) // of one that is revived in memory nothing is left, also not what it did
}

// beginFresh gives a new sandbox the files that it begins with, and none that a start left which was cut off.
func (d *Driver) beginFresh(ctx context.Context, h home, l *label, spec sandbox.Spec) error {
	if err := h.unbegun(); err != nil || spec.From == "" {
		return err
	}
	ctx, restored := trace.Step(ctx, sandbox.PhaseRestore)
	err := d.beginWith(ctx, h, l, spec.From)
	restored(err)
	return err
}

// hand tells a server that waits what it is to be, and gives the sandbox when it serves; anew says that nothing was there before.
func (d *Driver) hand(ctx context.Context, h home, l label, spec sandbox.Spec, s *spawned, anew bool) (*homes.Instance[label], error) {
	defer s.close()
	defer d.guard(h, l, s.process)()
	// Its doors are there before it serves, so they are waited for at the same time.
	out := make(chan error, 1)
	go func() { out <- d.homes.LetOut(ctx, h.Home, &l.Label, s.process) }()
	waiting, booted := trace.Step(ctx, sandbox.PhaseBoot)
	err := s.await(waiting, append(d.programs(spec, l.Mark), whose(spec)...))
	if booted(err); err != nil {
		s.process.Kill() // which ends the other waiting too
		err = fmt.Errorf("%w%s", err, homes.LastWords(h.LogFile()))
	}
	if outErr := <-out; err == nil && outErr != nil {
		s.process.Kill()
		err = outErr
	}
	if err != nil {
		return nil, err
	}
	d.hear(ctx, h, l, s.process)
	return d.homes.Placed(h.Home, &l, s.process, s.secret, anew), nil
}
