package docker

import "context"

func (d *Driver) canFreeze() bool { return d.config.Reach == reachSocket }

// thaw lets a container go on that was paused.
func (d *Driver) thaw(ctx context.Context, id string, pid int, paused bool) error {
	if paused {
		return d.engine.ContainerUnpause(ctx, id)
	}
	return nil
}

func (i *instance) thaw(ctx context.Context, paused bool) error {
	return i.d.thaw(ctx, i.container.id, i.pid, paused)
}
