package backends

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandtree/sandtree/sandbox"
)

// A Rester is a driver that says at once how its sandboxes can rest while nobody uses them. One that is no Rester has
// sandboxes that cannot. Code of both: Unsupported, saying why.
type Rester interface {
	// CanPause says whether its instances are Pausers which, on this machine, can be paused.
	CanPause() error
	// CanHalt says whether its instances are Halters, and one of spec, halted and revived, has the files that it had.
	CanHalt(spec sandbox.Spec) error
}

// CheckIdle says whether a sandbox of spec can rest as idle says. Code: Unsupported.
func (b *Backend) CheckIdle(spec sandbox.Spec, idle sandbox.Idle) error {
	r, ok := b.driver.(Rester)
	refuse := func(word string, err error) error {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: "idle." + word, ID: spec.ID,
			Err: fmt.Errorf("backend %q: %w: leave it out, or make it negative where it has a default", b.name, err)}
	}
	cannot := errors.New("its sandboxes cannot rest")
	if idle.PauseAfter > 0 {
		if ok {
			cannot = r.CanPause()
		}
		if cannot != nil {
			return refuse("pause_after", cannot)
		}
	}
	if idle.StopAfter > 0 {
		if ok {
			cannot = r.CanHalt(spec)
		}
		if cannot != nil {
			return refuse("stop_after", cannot)
		}
	}
	return nil
}

// Pause stops all processes of the sandbox where they are, also when the client has been closed. Attach and Start give it
// resumed. Codes: Unsupported, NotFound (it has ended), Conflict (a newer epoch holds it), Unavailable, Canceled.
func (s *Sandbox) Pause(ctx context.Context) error {
	p, ok := s.instance.(Pauser)
	if !ok {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: s.backend.name + ".Pause", ID: s.id}
	}
	err := p.Pause(ctx)
	s.backend.log.Info("sandbox paused", "id", s.id, "err", err)
	return s.backend.wrap("Pause", s.id, err)
}
