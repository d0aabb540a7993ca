package homes

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

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

// close ends it, and returns when all of it has ended.
func (w *way) close() {
	w.once.Do(func() { w.err = held.ErrClosed })
	if p := w.proxy.Load(); p != nil {
		p.Close()
	}
}

// filters says whether sandboxes have a policy, be it that nothing gets out.
func (e *Homes[L]) filters() bool { return e.kind.Doors != nil || e.kind.NoDoors != nil }

// raise tells the way of a living process, if there is one, that this process has the sandbox for that epoch. It is called
// before the label says so.
func (e *Homes[L]) raise(p *held.Process, epoch uint64) {
	e.mu.Lock()
	w := e.ways[p.Identity]
	if w == nil || w.raise(epoch) {
		e.mu.Unlock()
		return
	}
	delete(e.ways, p.Identity)
	e.mu.Unlock()
	w.close()
}

// LetOut makes this process let out what the sandbox's policy allows. It does nothing if it does so already, or nothing is let out.
func (e *Homes[L]) LetOut(ctx context.Context, h Home, l *Label, p *held.Process) error {
	if e.kind.Doors == nil {
		return nil
	}
	w, err := e.way(p)
	if err != nil {
		return err
	}
	w.once.Do(func() {
		var proxy *egress.Proxy
		w.raise(l.Epoch)
		proxy, w.err = e.openWay(ctx, h, l, p, w)
		w.proxy.Store(proxy)
	})
	if w.err == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ways[p.Identity] == w { // the next one tries again
		delete(e.ways, p.Identity)
	}
	return w.err
}

// way gives that of a process, which may not have been opened yet.
func (e *Homes[L]) way(p *held.Process) (*way, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, held.ErrClosed
	}
	if e.living[p.Identity] != p {
		return nil, held.ErrEnded
	}
	w := e.ways[p.Identity]
	if w == nil {
		w = &way{}
		e.ways[p.Identity] = w
	}
	return w, nil
}

func (e *Homes[L]) openWay(ctx context.Context, h Home, l *Label, p *held.Process, w *way) (*egress.Proxy, error) {
	set, err := e.kind.Doors(ctx, h, p)
	if err != nil {
		return nil, err
	}
	id := l.ID // and nothing else of the label for as long as the way is
	if set.Missing != nil {
		e.log.Warn("only programs that heed HTTP_PROXY get out of a sandbox", "id", id, "err", set.Missing)
	}
	c := egress.Config{Policy: l.Egress, Limits: l.Limits, Log: e.log.With("id", id)}
	c.Changed = egress.Watched(h.LabelFile(), func() (sandbox.Egress, error) {
		var l Label
		err := h.Read(&l)
		if err == nil && !w.current(l.Epoch) {
			err = egress.ErrReplaced
		}
		return l.Egress, err
	})
	if hear := e.kind.OnConnection; hear != nil {
		c.OnConnection = func(s sandbox.Connection) { hear(id, s) }
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

// setPolicy changes what this process lets out. It would find out from the label, at the next connection; those that stand
// and are not allowed any more end now.
func (e *Homes[L]) setPolicy(p *held.Process, policy sandbox.Egress) error {
	if e.kind.Doors == nil {
		return nil
	}
	w, err := e.way(p)
	if err != nil {
		return err
	}
	if proxy := w.proxy.Load(); proxy != nil {
		return proxy.SetPolicy(policy)
	}
	return held.ErrClosed
}
