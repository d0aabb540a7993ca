package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/egress"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// way is how the programs of one living sandbox get out, through this process. Without one that serves it, what they try
// waits, and fails when they lose patience.
type way struct {
	once  sync.Once
	proxy atomic.Pointer[egress.Proxy] // nil if err is not
	err   error

	mu       sync.Mutex
	epoch    uint64 // the highest for which this process has had the sandbox
	replaced bool   // another has it for a higher one, and lets out what this one did
}

// current says whether nobody has the sandbox for a higher epoch than this process. Once not, it is never again: a new way is
// opened for a new epoch.
func (w *way) current(epoch uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replaced = w.replaced || epoch > w.epoch
	return !w.replaced
}

// raise says for which epoch this process has the sandbox, and whether the way is still good.
func (w *way) raise(epoch uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch = max(w.epoch, epoch)
	return !w.replaced
}

// raise tells the way of a living process, if there is one, that this process has the sandbox for that epoch. It is called
// before the label says so.
func (d *Driver) raise(p *held.Process, epoch uint64) {
	d.mu.Lock()
	w := d.ways[p.Identity]
	if w == nil || w.raise(epoch) {
		d.mu.Unlock()
		return
	}
	delete(d.ways, p.Identity)
	d.mu.Unlock()
	w.close()
}

// letOut makes this process let out what the sandbox's policy allows. It does nothing if it does so already.
func (d *Driver) letOut(h home, l label, p *held.Process) error {
	if d.config.Network == networkNone {
		return nil
	}
	w, err := d.way(p)
	if err != nil {
		return err
	}
	w.once.Do(func() {
		var proxy *egress.Proxy
		w.raise(l.Epoch)
		proxy, w.err = d.openWay(h, l, p, w)
		w.proxy.Store(proxy)
	})
	if w.err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ways[p.Identity] == w { // the next one tries again
		delete(d.ways, p.Identity)
	}
	return w.err
}

// way gives that of a process, which may not have been opened yet.
func (d *Driver) way(p *held.Process) (*way, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, held.ErrClosed
	}
	if d.living[p.Identity] != p {
		return nil, held.ErrEnded
	}
	w := d.ways[p.Identity]
	if w == nil {
		w = &way{}
		d.ways[p.Identity] = w
	}
	return w, nil
}

// close ends it, and returns when all of it has ended.
func (w *way) close() {
	w.once.Do(func() { w.err = held.ErrClosed })
	if p := w.proxy.Load(); p != nil {
		p.Close()
	}
}

func (d *Driver) openWay(h home, l label, p *held.Process, w *way) (*egress.Proxy, error) {
	set, err := openDoors(p)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, coded{sandbox.Unavailable, fmt.Errorf("a program in it has taken the place of a door: %w", err)}
	case err != nil:
		return nil, fmt.Errorf("its doors: %w", err)
	}
	if set.Missing != nil {
		d.log.Warn("only programs that heed HTTP_PROXY get out of a sandbox", "id", l.ID, "err", set.Missing)
	}
	c := egress.Config{Policy: l.Egress, Limits: l.Limits, Log: d.log.With("id", l.ID)}
	c.Changed = egress.Watched(h.labelFile(), func() (sandbox.Egress, error) {
		l, err := h.read()
		if err == nil && !w.current(l.Epoch) {
			err = egress.ErrReplaced
		}
		return l.Egress, err
	})
	if hear := d.config.OnConnection; hear != nil {
		c.OnConnection = func(s sandbox.Connection) { hear(l.ID, s) }
	}
	proxy, err := egress.New(c)
	if err != nil {
		set.Close()
		return nil, err
	}
	var open egress.Doors
	if open.Connect, open.Transparent, open.DNS, err = set.Listeners(); err == nil {
		err = proxy.Serve(open)
	}
	if err != nil {
		return nil, errors.Join(err, proxy.Close())
	}
	return proxy, nil
}

// openDoors opens them in the network of a companion, which is its sandbox's. The file is held before it is asked whether the
// companion lives, so that it is not another's who has the number by now.
func openDoors(p *held.Process) (doors.Set, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/ns/net")
	if err != nil {
		return doors.Set{}, errors.Join(held.ErrEnded, err)
	}
	defer f.Close()
	if !p.Alive() {
		return doors.Set{}, held.ErrEnded
	}
	return doors.OpenIn("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

// SetEgress changes what programs in the sandbox may connect to.
func (i *instance) SetEgress(ctx context.Context, e sandbox.Egress) error {
	if i.d.config.Network == networkNone {
		return failed("gvisor.SetEgress", i.label.ID, coded{sandbox.Unsupported, errors.New("it has no network; set backends.gvisor.network to \"filtered\", and start another")})
	}
	err := i.relabel(ctx, func(l *label) (bool, error) {
		if epoch := i.epoch.Load(); l.Epoch > epoch {
			return false, l.fenced(epoch)
		}
		l.Egress = e
		return true, nil
	})
	if err == nil {
		err = i.d.letOut(i.home, i.label, i.process)
	}
	if err == nil {
		err = i.d.setPolicy(i.process, e)
	}
	if err != nil {
		return failed("gvisor.SetEgress", i.label.ID, err)
	}
	return nil
}

// setPolicy changes what this process lets out. It would find out from the label, at the next connection; those that stand
// and are not allowed any more end now.
func (d *Driver) setPolicy(p *held.Process, e sandbox.Egress) error {
	w, err := d.way(p)
	if err != nil {
		return err
	}
	if proxy := w.proxy.Load(); proxy != nil {
		return proxy.SetPolicy(e)
	}
	return held.ErrClosed
}

// Traffic is what has gone through this process.
func (i *instance) Traffic() sandbox.Traffic {
	i.d.mu.Lock()
	w := i.d.ways[i.process.Identity]
	i.d.mu.Unlock()
	if w == nil {
		return sandbox.Traffic{}
	}
	if p := w.proxy.Load(); p != nil {
		return p.Traffic()
	}
	return sandbox.Traffic{}
}
