package jail

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// found gives a living sandbox to the one who asks for it now, with the policy that is asked for. Code: Conflict, if it lives
// with other limits: some are in its file systems, its server's arguments and its way out, and half of them changed is worse
// than none.
func (d *Driver) found(ctx context.Context, h home, l label, p *held.Process, spec sandbox.Spec) (*instance, error) {
	if d.effective(l.Limits, spec.Limits) != d.effective(spec.Limits, spec.Limits) {
		return nil, coded{sandbox.Conflict, errors.New("it lives with other limits, which cannot be changed while it does: halt it first, " +
			"or ask for those that it has")}
	}
	if !l.Audit.Equal(spec.Audit) {
		return nil, coded{sandbox.Conflict, errors.New("it lives and tells of other things, which cannot be changed while it does: halt it first, " +
			"or ask for the audit that it has")}
	}
	key, err := h.key()
	if err != nil {
		return nil, err
	}
	if err := d.thaw(ctx, l); err != nil {
		return nil, err
	}
	d.raise(p, spec.Epoch)
	policy := !sameEgress(l.Egress, spec.Egress)
	if policy || l.Owner != spec.Owner || l.Epoch != spec.Epoch {
		l.Owner, l.Epoch, l.Egress = spec.Owner, spec.Epoch, spec.Egress
		if err := h.write(l); err != nil {
			return nil, err
		}
	}
	err = d.letOut(ctx, h, l, p)
	if err == nil && policy {
		err = d.setPolicy(p, spec.Egress)
	}
	if err != nil { // then nothing gets out through this process, and the sandbox is none the worse for it
		d.log.Warn("the programs of a sandbox cannot get out", "id", l.ID, "err", err)
	}
	d.hear(ctx, h, l, p)
	i := d.instance(h, l, p, key)
	i.found = true
	return i, nil
}

// effective are the limits that hold where l is asked for, so that two can be compared. What is no bound of the jail is left
// out, and what a disk has only counts where asked names it.
func (d *Driver) effective(l, asked sandbox.Limits) sandbox.Limits {
	l.ActionTimeout, l.Disk = 0, 0 // conflicts looks at the disk
	if asked.Files == 0 {
		l.Files = 0
	}
	l.CPU = max(cmp.Or(l.CPU, sandbox.DefaultCPU), -1)
	l.Memory = d.memory(l)
	l.Processes = processes(l)
	l.Network = max(cmp.Or(l.Network, sandbox.DefaultNetwork), -1)
	l.Connections = max(cmp.Or(l.Connections, sandbox.DefaultConnections), -1)
	return l
}

func sameEgress(a, b sandbox.Egress) bool {
	mode := func(e sandbox.Egress) sandbox.EgressMode { return cmp.Or(e.Mode, sandbox.EgressAllowAll) }
	return mode(a) == mode(b) && slices.Equal(a.Domains, b.Domains) && slices.Equal(a.CIDRs, b.CIDRs)
}
