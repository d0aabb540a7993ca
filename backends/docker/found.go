package docker

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/sandbox"
)

// found gives the living container to the one who asks for it now, with the policy and the limits that are asked for now.
func (d *Driver) found(ctx context.Context, h home, l label, spec sandbox.Spec) (*instance, error) {
	i, err := d.instance(ctx, h, l)
	if err != nil {
		return nil, err
	}
	if err := i.bound(ctx, spec.Limits); err != nil {
		return nil, err
	}
	i.label.Owner, i.label.Epoch, i.label.Egress, i.label.Limits, i.label.Audit = spec.Owner, spec.Epoch, spec.Egress, spec.Limits, spec.Audit
	i.epoch.Store(spec.Epoch)
	i.worksFor(spec.Epoch)
	if !reflect.DeepEqual(i.label, l) {
		if err := h.write(i.label); err != nil {
			return nil, err
		}
	}
	if i.proxy != nil && !reflect.DeepEqual(l.Egress, spec.Egress) {
		if err := i.proxy.SetPolicy(spec.Egress); err != nil {
			return nil, err
		}
	}
	if err := i.watchFiles(ctx); err != nil {
		return nil, err
	}
	i.found = true
	return i, nil
}

// bound gives a living container other limits. Those of what goes out are this process's to enforce, and perhaps another's
// besides, from the start of the container to its end. Code: Conflict.
func (i *instance) bound(ctx context.Context, want sandbox.Limits) error {
	have := i.label.Limits
	if have == want {
		return nil
	}
	if have.Network != want.Network || have.Connections != want.Connections || have.Ports != want.Ports {
		return coded{sandbox.Conflict, errors.New("it runs with other limits of network, connections or ports, which cannot change meanwhile: halt it first")}
	}
	if lifts(have, want) {
		return coded{sandbox.Conflict, errors.New("it runs with limits that the engine can change but not lift: name other ones, or remove it first")}
	}
	if err := i.d.limit(ctx, i.container.id, want); err != nil {
		return coded{sandbox.Conflict, fmt.Errorf("it runs with other limits, and the engine cannot change them meanwhile: halt it first: %w", err)}
	}
	return nil
}

// limit gives a container other limits.
func (d *Driver) limit(ctx context.Context, id string, l sandbox.Limits) error {
	_, err := d.engine.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: d.resources(l)})
	return err
}

// lifts says whether there is to be no limit where there is one, for which the engine has no word.
func lifts(have, want sandbox.Limits) bool {
	return have.CPU >= 0 && want.CPU < 0 || have.Memory >= 0 && want.Memory < 0 || have.Processes >= 0 && want.Processes < 0 ||
		have.DiskRead != want.DiskRead || have.DiskWrite != want.DiskWrite || // the engine ignores those of a container that there is
		have.Affinity != "" && want.Affinity == "" || have.CPUShares > 0 && want.CPUShares == 0 || have.Swappiness > 0 && want.Swappiness == 0
}
