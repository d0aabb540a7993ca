package backends

import (
	"context"
	"errors"

	"github.com/sandtree/sandtree/sandbox"
)

// Filtered is an instance whose connections to the outside go through this process (package egress of internal), so that
// what it may connect to can be changed, and what it did is known. A changed policy is the sandbox's from then on: the
// next process that attaches finds it. Codes: Invalid, NotFound, Conflict (a newer epoch holds it).
type Filtered interface {
	SetEgress(ctx context.Context, e sandbox.Egress) error
	Traffic() sandbox.Traffic
}

// SetEgress changes what programs in the sandbox may connect to; connections that they have and may no longer have are
// cut. Codes: Invalid, Unsupported, NotFound, Conflict.
func (s *Sandbox) SetEgress(ctx context.Context, e sandbox.Egress) error {
	if err := e.Check(); err != nil {
		return s.backend.wrap("SetEgress", s.id, &sandbox.Error{Code: sandbox.Invalid, Op: "egress", Err: err})
	}
	f, err := s.filtered()
	if err != nil {
		return s.backend.wrap("SetEgress", s.id, err)
	}
	if err := f.SetEgress(ctx, e); err != nil {
		return s.backend.wrap("SetEgress", s.id, err)
	}
	s.backend.log.Info("egress policy changed", "id", s.id, "mode", e.Mode, "domains", len(e.Domains), "cidrs", len(e.CIDRs))
	return nil
}

// Traffic is what the sandbox has had of the network since this process started it or attached to it. Code: Unsupported.
func (s *Sandbox) Traffic() (sandbox.Traffic, error) {
	f, err := s.filtered()
	if err != nil {
		return sandbox.Traffic{}, s.backend.wrap("Traffic", s.id, err)
	}
	return f.Traffic(), nil
}

func (s *Sandbox) filtered() (Filtered, error) {
	if f, ok := s.instance.(Filtered); ok {
		return f, nil
	}
	return nil, &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("the connections of this sandbox do not go through its controller; place it on a backend that enforces egress")}
}
