package docker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// gonePrefix begins the name of a home that is being removed; no id begins with a dot.
const gonePrefix = ".gone-"

// Remove stops the sandbox and removes it, also if its server is dead. No such sandbox is no error.
func (d *Driver) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	if err := id.Check(); err != nil {
		return err
	}
	err := d.finish(ctx, d.home(id), nil, epoch, grace, (*Driver).clear)
	if err == nil {
		err = d.removeHomeless(ctx, id)
	}
	if err != nil {
		return failed("docker.Remove", id, err)
	}
	return nil
}

// finish ends what runs in a sandbox and then calls after, under the lock. If i is set and the home has another container, it
// is not the sandbox that is meant, which is gone already; if it has a higher epoch (without i, than epoch), whoever asks has been
// replaced, and what runs there is another's. When ctx ends so does the grace; the rest has its own time.
func (d *Driver) finish(ctx context.Context, h home, i *instance, epoch uint64, grace time.Duration, after func(*Driver, context.Context, home, label) error) error {
	unlock, err := d.locker.Lock(ctx, string(h), false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return lockFailed(err)
	}
	defer unlock()
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, grace)+patience)
	defer cancel()
	l, err := h.read()
	switch {
	case errors.Is(err, fs.ErrNotExist): // its start was cut off before it had anything
		return after(d, cleanup, h, label{})
	case err != nil:
		return err
	case i != nil && l.Container != i.label.Container:
		return nil
	case i != nil && l.Epoch > i.epoch.Load():
		return l.fenced(i.epoch.Load())
	case i == nil && l.Epoch > epoch:
		return l.fenced(epoch)
	}
	if grace > 0 && ctx.Err() == nil {
		if err := d.ask(ctx, l, grace); err != nil {
			return err
		}
	}
	return after(d, cleanup, h, l)
}

// ask asks the server to end, and waits for that until the grace is over or ctx ends.
func (d *Driver) ask(ctx context.Context, l label, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	run, c, err := d.watch.hold(ctx, l.Container)
	if err == nil {
		defer d.watch.drop(run)
		if err = d.thaw(ctx, c.ID, c.State.Pid, c.State.Paused); err == nil {
			err = d.engine.ContainerKill(ctx, c.ID, "SIGTERM")
		}
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, errEnded), errdefs.IsNotFound(err), errdefs.IsConflict(err): // gone, or not running
		return nil
	case err != nil:
		return err
	}
	_, err = run.wait(ctx)
	if errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// kill ends a container by force, and all in it; then it is kept, so that it can be started again.
func (d *Driver) kill(ctx context.Context, l label) error {
	run, c, err := d.watch.hold(ctx, l.Container)
	switch {
	case errors.Is(err, errEnded), errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	defer d.watch.drop(run)
	if err := d.thaw(ctx, c.ID, c.State.Pid, c.State.Paused); err != nil {
		return err
	}
	if err := d.engine.ContainerKill(ctx, c.ID, "SIGKILL"); err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
		return err
	}
	_, err = run.wait(ctx)
	return err
}

// clear leaves nothing of a sandbox but a named workspace; l is the home's label, or zero if it has none yet.
func (d *Driver) clear(ctx context.Context, h home, l label) error {
	if l.Container != "" {
		// The container first: once the home has gone, its name is known no more.
		if err := d.removeContainer(ctx, l.Container); err != nil {
			return err
		}
		if _, err := os.Stat(h.overlayDir()); err == nil { // else it has none
			if err := d.removeVolumes(ctx, l.Container); err != nil {
				return err
			}
		}
	}
	if err := d.unlink(l); err != nil {
		return err
	}
	// By one step the sandbox is no more; what is slow comes after it, and can be taken up again by another process.
	gone := filepath.Join(d.root, gonePrefix+sandbox.RandomHex(8))
	if err := os.Rename(string(h), gone); err != nil {
		return err
	}
	err := held.RemoveTree(gone)
	if l.Image != "" {
		err = errors.Join(err, d.removeImages(ctx, l.Image))
	}
	return err
}

// removeContainer kills and removes a container with its unnamed volumes. One that is not there is no error.
func (d *Driver) removeContainer(ctx context.Context, name string) error {
	if !d.config.shared() {
		return d.removeByEngine(ctx, name)
	}
	c, err := d.engine.ContainerInspect(ctx, name)
	if err != nil { // it will say so again
		return d.removeByEngine(ctx, name)
	}
	if c.State.Running {
		if err := d.thaw(ctx, c.ID, c.State.Pid, c.State.Paused); err != nil {
			return err
		}
	}
	return errors.Join(d.removeByEngine(ctx, name), d.killStrays(ctx, c.ID))
}

func (d *Driver) removeByEngine(ctx context.Context, name string) error {
	err := d.engine.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case err == nil, errdefs.IsNotFound(err):
		return nil
	case !errdefs.IsConflict(err):
		return err
	}
	// Somebody else is removing it.
	done, failed := d.engine.ContainerWait(ctx, name, container.WaitConditionRemoved)
	select {
	case <-done:
		return nil
	case err := <-failed:
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}
