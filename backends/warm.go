package backends

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// A Warmer is a driver that can start a sandbox before it is known for whom.
type Warmer interface {
	// Shape is what of a spec is settled by the start: blanks of one shape are interchangeable until they are adopted. It is not ok
	// for a spec of which nothing can be started before; of the others it depends on limits alone, and may be "".
	Shape(spec sandbox.Spec) (shape string, ok bool)
	// Warm starts one for specs of the shape of spec, of which it takes nothing else. ctx bounds the start.
	// Codes: Invalid, Denied, Exhausted, Unavailable.
	Warm(ctx context.Context, spec sandbox.Spec) (Blank, error)
}

// A Blank is a warm sandbox that is nobody's: it has no id, no key and nothing of anybody's. It does not outlive the
// process that started it. It is used once.
type Blank interface {
	// Alive says at once whether it can still be adopted.
	Alive() bool
	// Adopt is Start with what is started already: the sandbox is no different from one that was started for spec. The
	// blank is used up in any case.
	Adopt(ctx context.Context, spec sandbox.Spec) (Instance, error)
	// Stop ends one that has not been adopted. Idempotent.
	Stop(ctx context.Context, grace time.Duration) error
}

// Shape tells, where the driver is a Warmer, which blanks fit spec.
func (b *Backend) Shape(spec sandbox.Spec) (shape string, ok bool) {
	w, ok := b.driver.(Warmer)
	if !ok {
		return "", false
	}
	return w.Shape(spec)
}

// Warm starts a blank. It is tried once: whoever wants one can do without. Codes: Unsupported, and those of the driver's.
func (b *Backend) Warm(ctx context.Context, spec sandbox.Spec) (Blank, error) {
	w, ok := b.driver.(Warmer)
	if !ok {
		return nil, b.wrap("Warm", "", &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("this backend starts nothing before it is asked for")})
	}
	if b.config.Admission == nil {
		blank, err := w.Warm(ctx, spec)
		return blank, b.wrap("Warm", "", err)
	}
	like := sandbox.Spec{ID: "warm." + sandbox.ID(sandbox.RandomHex(8))} // an idle sandbox that is promised nothing, and connects to nothing
	if _, err := b.config.Admission.admit(ctx, b.name, like, nil); err != nil {
		return nil, b.wrap("Warm", "", err)
	}
	blank, err := w.Warm(ctx, spec)
	if err != nil {
		b.release(like.ID)
		return nil, b.wrap("Warm", "", err)
	}
	return &counted{blank, b, like.ID}, nil
}

// counted is a blank whose room is given back with it.
type counted struct {
	Blank
	backend *Backend
	id      sandbox.ID // that the admission knows it by
}

func (c *counted) Adopt(ctx context.Context, spec sandbox.Spec) (Instance, error) {
	defer c.backend.release(c.id)
	return c.Blank.Adopt(ctx, spec)
}

func (c *counted) Stop(ctx context.Context, grace time.Duration) error {
	defer c.backend.release(c.id)
	return c.Blank.Stop(ctx, grace)
}

// begin starts the sandbox of spec: with a blank, if there is one that fits, else from nothing or a snapshot.
// by counts those that came about in the same way.
func (b *Backend) begin(ctx context.Context, spec sandbox.Spec) (inst Instance, by *atomic.Uint64, err error) {
	ctx, end := trace.Step(ctx, sandbox.PhasePlace)
	defer func() { end(err) }()
	if b.config.Claim != nil && spec.From == "" {
		if shape, ok := b.Shape(spec); ok {
			if blank := b.config.Claim(b.name, shape, spec); blank != nil {
				inst, err = blank.Adopt(ctx, spec)
				return inst, &b.figures.Warm, err
			}
		}
	}
	inst, err = b.driver.Start(ctx, spec)
	if f, ok := inst.(Found); ok && err == nil && f.Found() {
		return inst, &b.figures.Found, nil
	}
	return inst, &b.figures.Cold, err
}
