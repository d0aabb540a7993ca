package local

import (
	"context"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// revive makes a sandbox ready to be started again whose server is dead. Before anybody hears that what that ran was interrupted,
// it is.
func revive(ctx context.Context, h homes.Home, l *label) error {
	if err := sweep(ctx, h, l); err != nil {
		return err
	}
	return home{h}.goOn() // with what was being restored
}

// renew says in a label what only these sandboxes have there.
func renew(_ homes.Home, l *label, spec sandbox.Spec) {
	if l.Mark == "" {
		l.Mark, l.From = newMark(), spec.From
	}
}

// newMark has nothing of the sandbox in it, whose id may not be known yet.
func newMark() string { return sandbox.RandomHex(12) }

func (d *Driver) place(ctx context.Context, h homes.Home, l *label, spec sandbox.Spec, fresh bool) (*homes.Instance[label], error) {
	return d.placeBy(ctx, home{h}, l, spec, fresh, nil)
}

// placeBy starts a server, or makes b the server if it is not nil, and gives it what it needs, of which it notes in l what is not in
// the home. It leaves to the caller to undo what it made.
func (d *Driver) placeBy(ctx context.Context, h home, l *label, spec sandbox.Spec, fresh bool, b *blank) (*homes.Instance[label], error) {
	if fresh {
		if err := d.beginFresh(ctx, h, spec); err != nil {
			return nil, err
		}
	}
	program, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	if err := l.makeSocketDir(h); err != nil {
		return nil, err
	}
	bound, err := bind(l)
	if err != nil {
		return nil, err
	}
	if err := h.Write(l); err != nil { // from here on, the next process finds all that there is
		return nil, err
	}
	// A program takes milliseconds before it looks for what it needs, and that is enough to make it.
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	s, err := d.serve(h, *l, program, arguments(h, *l, spec, bound), b)
	if spawned(err); err != nil {
		return nil, err
	}
	defer s.close()
	ctx, booted := trace.Step(ctx, sandbox.PhaseBoot)
	key, err := h.furnish(*l, bound)
	if err == nil {
		err = s.await(ctx, key, d.programs(h, spec, l.Mark))
	}
	if booted(err); err != nil {
		s.process.Kill()
		return nil, fmt.Errorf("%w%s", err, homes.LastWords(h.LogFile()))
	}
	return d.homes.Placed(h.Home, l, s.process, key, false), nil
}

// beginFresh gives a new sandbox the files that it begins with, and none that a start left which was cut off.
func (d *Driver) beginFresh(ctx context.Context, h home, spec sandbox.Spec) error {
	if err := h.unbegun(); err != nil || spec.From == "" {
		return err
	}
	ctx, restored := trace.Step(ctx, sandbox.PhaseRestore)
	err := d.fetch(ctx, h, spec.From)
	if err == nil {
		err = h.replace()
	}
	restored(err)
	return err
}

// furnish makes what a server finds when it looks around, and gives the key.
func (h home) furnish(l label, b bounds) (key string, err error) {
	if err := b.make(l.Cgroup); err != nil {
		return "", err
	}
	dirs := []string{h.stateDir(), h.HomeDir()}
	if !l.Named {
		dirs = append(dirs, h.OwnWork())
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	return h.MakeKey()
}
