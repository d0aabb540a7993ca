package homes

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// found gives a living sandbox to the one who asks for it now, with the policy that is asked for. Code: Conflict, if it lives
// otherwise than asked for: half of that changed would be worse than none.
func (e *Homes[L]) found(ctx context.Context, h Home, l *L, p *held.Process, spec sandbox.Spec) (*Instance[L], error) {
	if e.kind.Differs != nil {
		if err := e.kind.Differs(l, spec); err != nil {
			return nil, err
		}
	}
	key, err := h.Key()
	if err != nil {
		return nil, err
	}
	c := e.kind.Common(l)
	if err := e.Thaw(ctx, c); err != nil {
		return nil, err
	}
	e.raise(p, spec.Epoch)
	policy := e.filters() && !sameEgress(c.Egress, spec.Egress)
	if policy || c.Owner != spec.Owner || c.Epoch != spec.Epoch {
		c.Owner, c.Epoch = spec.Owner, spec.Epoch
		if e.filters() {
			c.Egress = spec.Egress
		}
		if err := h.Write(l); err != nil {
			return nil, err
		}
	}
	err = e.LetOut(ctx, h, c, p)
	if err == nil && policy {
		err = e.setPolicy(p, spec.Egress)
	}
	if err != nil { // then nothing gets out through this process, and the sandbox is none the worse for it
		e.log.Warn("the programs of a sandbox cannot get out", "id", c.ID, "err", err)
	}
	e.hear(ctx, h, l, p)
	i := e.newInstance(h, l, p, key)
	i.found = true
	return i, nil
}

// hear tells whoever wants to know what there is to tell of a sandbox that is had now.
func (e *Homes[L]) hear(ctx context.Context, h Home, l *L, p *held.Process) {
	if e.kind.Hear != nil {
		e.kind.Hear(ctx, h, l, p)
	}
}

// ErrLimits says that a living sandbox has others.
var ErrLimits = Coded(sandbox.Conflict, errors.New("it lives with other limits, which cannot be changed while it does: halt it first, "+
	"or ask for those that it has"))

// Effective are the limits that hold of a confined sandbox where l is asked for, so that two can be compared: what is no bound of it
// is left out, and so is what the disk has.
func Effective(l sandbox.Limits) sandbox.Limits {
	l.ActionTimeout, l.Disk, l.Files = 0, 0, 0
	l.CPU = max(cmp.Or(l.CPU, sandbox.DefaultCPU), -1)
	l.Memory = Memory(l)
	l.Processes = Processes(l)
	l.Network = max(cmp.Or(l.Network, sandbox.DefaultNetwork), -1)
	l.Connections = max(cmp.Or(l.Connections, sandbox.DefaultConnections), -1)
	return l
}

func sameEgress(a, b sandbox.Egress) bool {
	mode := func(e sandbox.Egress) sandbox.EgressMode { return cmp.Or(e.Mode, sandbox.EgressAllowAll) }
	return mode(a) == mode(b) && slices.Equal(a.Domains, b.Domains) && slices.Equal(a.CIDRs, b.CIDRs)
}
