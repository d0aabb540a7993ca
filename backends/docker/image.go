package docker

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// withImage calls use, which needs the image, as the pull policy says. Whether the image is there only use finds out: asking
// first would cost every start a round trip.
func (d *Driver) withImage(ctx context.Context, id sandbox.ID, use func() error) error {
	if d.config.Pull == PullAlways {
		if err := d.pull(ctx, id); err != nil {
			return err
		}
		return use()
	}
	err := use()
	if !d.missing(ctx, err) {
		return err
	}
	if d.config.Pull == PullNever {
		return coded{sandbox.Invalid, fmt.Errorf("the engine has no image %s, and images are never pulled (backends.docker.pull): "+
			"load, build or pull it: %w", d.config.Image, err)}
	}
	if err := d.pull(ctx, id); err != nil {
		return err
	}
	return use()
}

// missing says whether err, of the making of a container, is for want of the image and not of something else.
func (d *Driver) missing(ctx context.Context, err error) bool {
	if !errdefs.IsNotFound(err) {
		return false
	}
	_, err = d.engine.ImageInspect(ctx, d.config.Image)
	return errdefs.IsNotFound(err)
}

// pulls are those that are under way. Starts that come at the same time share one.
type pulls struct {
	mu   sync.Mutex
	last *onePull
}

type onePull struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when err is set
	err     error
}

// pull pulls the image, or waits for the pull that is under way, which goes on as long as anybody waits for it.
func (d *Driver) pull(ctx context.Context, id sandbox.ID) (err error) {
	ctx, pulled := trace.Step(ctx, sandbox.PhasePull)
	defer func() { pulled(err) }()
	p, err := d.joinPull(id)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		err = p.err
	case <-ctx.Done():
		err = coded{sandbox.Canceled, fmt.Errorf("while %s was being pulled: %w", d.config.Image, context.Cause(ctx))}
	}
	d.pulls.mu.Lock()
	defer d.pulls.mu.Unlock()
	if p.waiting--; p.waiting == 0 {
		p.cancel()
		if d.pulls.last == p {
			d.pulls.last = nil
		}
	}
	return err
}

func (d *Driver) joinPull(id sandbox.ID) (*onePull, error) {
	d.pulls.mu.Lock()
	defer d.pulls.mu.Unlock()
	if p := d.pulls.last; p != nil {
		p.waiting++
		return p, nil
	}
	ctx, cancel := context.WithCancel(d.life)
	p := &onePull{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if !d.begin(func() {
		p.err = d.pullOnce(ctx, id)
		close(p.done)
		d.pulls.mu.Lock()
		defer d.pulls.mu.Unlock()
		if d.pulls.last == p { // who comes from now on wants a newer look
			d.pulls.last = nil
		}
	}) {
		cancel()
		return nil, errClosed
	}
	d.pulls.last = p
	return p, nil
}

func (d *Driver) pullOnce(ctx context.Context, id sandbox.ID) error {
	auth, err := d.auths.forImage(ctx, d.config.Image)
	if err != nil {
		return err
	}
	r, err := d.engine.ImagePull(ctx, d.config.Image, image.PullOptions{RegistryAuth: auth, Platform: d.config.Platform})
	if err != nil {
		return d.pullFailed(err)
	}
	defer r.Close()
	if err := d.follow(r, backends.Progress{ID: id, Image: d.config.Image, Step: backends.StepPull}, nil, nil); err != nil {
		return d.pullFailed(err)
	}
	return nil
}

func (d *Driver) pullFailed(err error) error {
	code := codeOf(err)
	if code == sandbox.Internal {
		code = sandbox.Unavailable // a registry that cannot be reached, as far as the engine tells
	}
	return coded{code, fmt.Errorf("pull %s: %w", d.config.Image, err)}
}
