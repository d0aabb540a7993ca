package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/egress"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Filtered = (*instance)(nil)

// way is how the programs of one run of a container get out, through this process: a container whose network is "filtered"
// has none, and this process opens doors in it. They close with the process; the next one opens others, also
// before the first has ended.
type way struct {
	doors doors.Set // that a blank has opened, behind which nobody is yet; none if it is still to be done
	once  sync.Once
	proxy *egress.Proxy // nil if err is not
	err   error

	epoch    atomic.Uint64 // the newest that this process works for
	replaced chan struct{} // closed when another process works for a newer one
}

// raise notes that this process works for epoch, before the label says so.
func (w *way) raise(epoch uint64) {
	for {
		have := w.epoch.Load()
		if have >= epoch || w.epoch.CompareAndSwap(have, epoch) {
			return
		}
	}
}

// filtered says whether containers get out by their controller alone.
func (d *Driver) filtered() bool { return d.config.Network == networkFiltered }

// warn tells of a network that nobody filters.
func (d *Driver) warn() {
	if n := d.config.Network; n != networkFiltered && n != networkNone {
		d.log.Warn("egress is not enforced: programs in containers reach whatever this network does, other containers, this machine and its "+
			"private networks too", "backends.docker.network", n, "instead", networkFiltered)
	}
}

// letOut makes this process let out what the sandbox's policy allows. It does nothing if it does so already.
func (i *instance) letOut() error {
	d := i.d
	if !d.filtered() {
		return nil
	}
	if i.network != networkNone {
		return i.unfiltered()
	}
	run := i.container.key()
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return errClosed
	}
	w := d.ways[run]
	if w == nil {
		w = &way{replaced: make(chan struct{})}
		d.ways[run] = w
	}
	w.raise(i.label.Epoch)
	d.mu.Unlock()
	w.once.Do(func() { w.proxy, w.err = i.openWay(run, w) })
	if w.err != nil {
		d.forgetWay(run, w) // the next one tries again
		return fmt.Errorf("open a way out of it: %w", w.err)
	}
	i.way, i.proxy = w, w.proxy
	return nil
}

// unfiltered deals with a container that was made when the configuration named another network. It keeps that, and a
// way out through this process would be one besides. Code: Conflict, if that breaks what it was promised.
func (i *instance) unfiltered() error {
	l := i.label
	if m := l.Egress.Mode; m != "" && m != sandbox.EgressAllowAll || l.Limits.Network > 0 || l.Limits.Connections > 0 || l.Limits.Ports != "" {
		return coded{sandbox.Conflict, fmt.Errorf("its container was made with network %q, by which nothing of that is enforced: "+
			"remove it and start another, or set backends.docker.network to %[1]q", i.network)}
	}
	i.d.log.Warn("egress of a sandbox is not enforced: its container was made when backends.docker.network was another", "id", l.ID, "network", i.network)
	return nil
}

// key is what the ways of runs are known by.
func (r *running) key() string { return r.id + "/" + r.started }

func (d *Driver) forgetWay(run string, w *way) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ways[run] == w {
		delete(d.ways, run)
	}
}

// openWay opens the doors and serves them until the container ends, another process takes over or the driver is closed.
func (i *instance) openWay(run string, w *way) (*egress.Proxy, error) {
	d := i.d
	set, err := w.doors, error(nil)
	if set.Connect == nil {
		set, err = openDoors(i.container.id, i.pid)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, coded{sandbox.Unavailable, fmt.Errorf("a program in it has taken the place of a door: %w", err)}
	case err != nil:
		return nil, err
	case set.Missing != nil:
		d.log.Warn("only programs that heed HTTP_PROXY get out of a sandbox", "id", i.label.ID, "err", set.Missing)
	}
	c := egress.Config{Policy: i.label.Egress, Limits: i.label.Limits, Log: d.log.With("id", i.label.ID)}
	var once sync.Once
	c.Changed = egress.Watched(i.home.labelFile(), func() (sandbox.Egress, error) {
		l, err := i.home.read()
		if err == nil && l.Epoch > w.epoch.Load() {
			once.Do(func() { close(w.replaced) })
			err = egress.ErrReplaced
		}
		return l.Egress, err
	})
	if hear, id := d.config.OnConnection, i.label.ID; hear != nil {
		c.OnConnection = func(s sandbox.Connection) { hear(id, s) }
	}
	p, err := egress.New(c)
	if err != nil {
		set.Close()
		return nil, err
	}
	var open egress.Doors
	if open.Connect, open.Transparent, open.DNS, err = set.Listeners(); err == nil {
		err = p.Serve(open)
	}
	if err == nil && !d.begin(func() {
		select {
		case <-i.container.letgo:
		case <-w.replaced:
		case <-d.life.Done():
		}
		d.forgetWay(run, w)
		p.Close()
	}) {
		err = errClosed
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// openDoors opens the doors of a container whose first process is pid. pid may be another's by now: the name of its control
// group, which has the container's id, tells. The namespace is held before it is asked, so that it is that process's.
func openDoors(id string, pid int) (doors.Set, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	namespace, err := os.Open(dir + "/ns/net")
	if errors.Is(err, fs.ErrNotExist) {
		return doors.Set{}, errEnded
	} else if err != nil {
		return doors.Set{}, err
	}
	defer namespace.Close()
	groups, err := os.ReadFile(dir + "/cgroup")
	if err != nil || !strings.Contains(string(groups), id) {
		return doors.Set{}, errors.Join(errEnded, err)
	}
	return doors.OpenIn("/proc/self/fd/" + strconv.Itoa(int(namespace.Fd())))
}

// SetEgress changes what programs in the sandbox may connect to.
func (i *instance) SetEgress(ctx context.Context, e sandbox.Egress) error {
	if i.proxy == nil {
		return failed("docker.SetEgress", i.label.ID, coded{sandbox.Unsupported, fmt.Errorf(
			"its connections go through the engine's network; set backends.docker.network to %q, and start another", networkFiltered)})
	}
	err := i.relabel(ctx, func(l *label) (bool, error) {
		if epoch := i.epoch.Load(); l.Epoch > epoch {
			return false, l.fenced(epoch)
		}
		l.Egress = e
		return true, nil
	})
	if err == nil {
		err = i.proxy.SetPolicy(e)
	}
	if err != nil {
		return failed("docker.SetEgress", i.label.ID, err)
	}
	return nil
}

// Traffic is what has gone through this process.
func (i *instance) Traffic() sandbox.Traffic {
	if i.proxy == nil {
		return sandbox.Traffic{}
	}
	return i.proxy.Traffic()
}
