package gvisor

import (
	"context"
	"fmt"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// place starts a companion and gives the server what it needs.
func (d *Driver) place(ctx context.Context, h homes.Home, l *label, spec sandbox.Spec, _ bool) (*homes.Instance[label], error) {
	programs, err := d.binaries()
	if err == nil {
		err = d.config.shown().Present("gvisor")
	}
	if err != nil {
		return nil, err
	}
	if err := d.homes.Resolve(l); err != nil {
		return nil, err
	}
	if err := d.homes.Claim(l); err != nil {
		return nil, err
	}
	if err := h.Write(l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	key, err := d.furnish(h, l)
	if err != nil {
		return nil, err
	}
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	s, err := d.spawn(h, l, programs)
	if spawned(err); err != nil {
		return nil, err
	}
	defer s.pipes().Close()
	// The doors come before the first program, which could take their place.
	_, out := trace.Step(ctx, sandbox.PhaseNetwork)
	err = d.homes.LetOut(ctx, h, l, s.process)
	out(err)
	waiting, booted := trace.Step(ctx, sandbox.PhaseBoot)
	if err == nil {
		err = s.await(waiting, d.arguments(spec), d.tells(key, spec, l.Mark))
	}
	if booted(err); err != nil {
		s.process.Kill()
		return nil, fmt.Errorf("%w%s", err, homes.LastWords(h.LogFile()))
	}
	return d.homes.Placed(h, l, s.process, key, false), nil
}

// furnish makes the directories of the sandbox, and gives the key.
func (d *Driver) furnish(h homes.Home, l *label) (key string, err error) {
	dirs := []string{boxDir(h), h.HomeDir()}
	if !l.Named {
		dirs = append(dirs, h.OwnWork())
	}
	if err := homes.MakeDirs(int(l.FirstID)+d.user().ID, dirs...); err != nil {
		return "", err
	}
	if err := clearSocket(h); err != nil {
		return "", err
	}
	return h.MakeKey()
}

// revive makes a sandbox ready to be started again: a new group counts from zero, and takes other limits in any order.
func revive(ctx context.Context, _ homes.Home, l *label) error { return homes.Ungroup(ctx, l) }

// differs says why a living sandbox cannot be had with spec: some limits are in its file systems, its server's arguments and its way
// out. Code: Conflict.
func differs(l *label, spec sandbox.Spec) error {
	if homes.Effective(l.Limits) != homes.Effective(spec.Limits) {
		return homes.ErrLimits
	}
	return nil
}
