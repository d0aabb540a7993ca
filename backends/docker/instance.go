package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/egress"
	"github.com/sandtree/sandtree/sandbox"
)

// instance is one sandbox and the run of its container when the instance was got.
type instance struct {
	d         *Driver
	home      home
	label     label
	epoch     atomic.Uint64 // that it was got for, or raised to
	container *running
	pid       int    // of the container's first process, on the engine's machine
	address   string // of a server that is reached by a port
	key       string
	fresh     bool
	found     bool
	served    bool
	proxy     *egress.Proxy // nil if its programs do not get out through this process
	way       *way          // whose the proxy is
	network   string        // the container's, as the engine knows it

	find  sync.Once    // sets what follows
	group cgroup.Group // by which it is frozen
	local bool         // there is one on this machine
}

var (
	_ backends.Instance  = (*instance)(nil)
	_ backends.Keyed     = (*instance)(nil)
	_ backends.Fresh     = (*instance)(nil)
	_ backends.Found     = (*instance)(nil)
	_ backends.Served    = (*instance)(nil)
	_ backends.Halter    = (*instance)(nil)
	_ backends.Labeler   = (*instance)(nil)
	_ backends.Attentive = (*instance)(nil)
)

// instance takes hold of the sandbox whose container runs. errEnded if it does not.
func (d *Driver) instance(ctx context.Context, h home, l label) (*instance, error) {
	key, err := h.key()
	if err != nil {
		return nil, err
	}
	run, c, err := d.watch.share(ctx, l.Container)
	if err != nil {
		return nil, err
	}
	i := d.newInstance(h, l, run, c, key)
	if err := i.letOut(); err != nil {
		return nil, err
	}
	if err := i.watchFiles(ctx); err != nil {
		return nil, err
	}
	return i, i.thaw(ctx, c.State.Paused) // whoever asks for it wants to use it
}

func (d *Driver) newInstance(h home, l label, run *running, c container.InspectResponse, key string) *instance {
	i := &instance{d: d, home: h, label: l, container: run, pid: c.State.Pid, key: key}
	if c.HostConfig != nil {
		i.network = string(c.HostConfig.NetworkMode)
	}
	i.epoch.Store(l.Epoch)
	if d.config.Reach != reachSocket {
		i.address = d.address(c, serverPort)
	}
	return i
}

// Key is what the server asks for.
func (i *instance) Key() string { return i.key }

// Fresh says whether the Start that gave the instance made the sandbox.
func (i *instance) Fresh() bool { return i.fresh }

// Found says whether the Start that gave the instance found its container running.
func (i *instance) Found() bool { return i.found }

// Served says whether the Start that gave the instance waited for the server to be ready.
func (i *instance) Served() bool { return i.served }

// Dial connects to the server.
func (i *instance) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := i.dial(ctx)
	if err != nil {
		code := sandbox.Unavailable
		if ctx.Err() != nil {
			code = sandbox.Canceled
		}
		return nil, failed("docker.Dial", i.label.ID, coded{code, err})
	}
	return conn, nil
}

func (i *instance) dial(ctx context.Context) (net.Conn, error) {
	if i.d.config.Reach != reachSocket {
		if i.address == "" {
			return nil, errors.New("the engine has published no port for it")
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", i.address)
	}
	return dialSocket(ctx, i.home.boxDir()+"/sock")
}

// dialSocket connects to a socket in a box. Programs in the sandbox can put anything in its place, a link to one of the host's sockets
// too. So what is connected to is what has been looked at: by descriptor, which also makes the length of the path no matter.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("%s is no socket: a program in the sandbox has replaced it", path)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(fd))
}

// Wait returns how the container ended.
func (i *instance) Wait(ctx context.Context) (sandbox.Exit, error) {
	exit, err := i.container.wait(ctx)
	if err != nil {
		return exit, failed("docker.Wait", i.label.ID, err)
	}
	return exit, nil
}

// Stop ends the sandbox for good.
func (i *instance) Stop(ctx context.Context, grace time.Duration) error {
	if err := i.d.finish(ctx, i.home, i, 0, grace, (*Driver).clear); err != nil {
		return failed("docker.Stop", i.label.ID, err)
	}
	return nil
}

// Halt ends all processes of the sandbox by force, and keeps the rest.
func (i *instance) Halt(ctx context.Context) error {
	if err := i.d.finish(ctx, i.home, i, 0, 0, func(d *Driver, ctx context.Context, _ home, l label) error { return d.kill(ctx, l) }); err != nil {
		return failed("docker.Halt", i.label.ID, err)
	}
	return nil
}

// Relabel raises the epoch in the label.
func (i *instance) Relabel(ctx context.Context, epoch uint64) error {
	err := i.relabel(ctx, func(l *label) (bool, error) {
		if l.Epoch > epoch {
			return false, l.fenced(epoch)
		}
		i.worksFor(epoch)
		changed := l.Epoch < epoch
		l.Epoch = epoch
		return changed, nil
	})
	if err != nil {
		return failed("docker.Relabel", i.label.ID, err)
	}
	i.epoch.Store(epoch)
	if err := i.thaw(ctx, false); err != nil { // whoever had it before may have paused it once more
		return failed("docker.Relabel", i.label.ID, err)
	}
	return nil
}

// worksFor notes whom this process lets the sandbox out for.
func (i *instance) worksFor(epoch uint64) {
	if i.way != nil {
		i.way.raise(epoch)
	}
}

// relabel has change look at the label, and writes down what it has changed.
func (i *instance) relabel(ctx context.Context, change func(*label) (changed bool, err error)) error {
	unlock, err := i.d.locker.Lock(ctx, string(i.home), false)
	if errors.Is(err, fs.ErrNotExist) {
		return errRemoved
	} else if err != nil {
		return lockFailed(err)
	}
	defer unlock()
	l, err := i.home.read()
	switch {
	case errors.Is(err, syscall.ENOENT):
		return errRemoved
	case err != nil:
		return err
	case l.Container != i.label.Container:
		return errRemoved
	}
	changed, err := change(&l)
	if err != nil || !changed {
		return err
	}
	return i.home.write(l)
}
