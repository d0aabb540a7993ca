package egress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// flow is a connection, from the moment that it was accepted inside.
type flow struct {
	proxy  *Proxy
	inside net.Conn
	began  time.Time
	ctx    context.Context // ends with the flow
	cancel context.CancelFunc

	// Guarded by the proxy's mu:
	decided bool // target is known and was allowed
	target  target
	addr    netip.Addr // that it is connected to; invalid until then
	outside net.Conn
	cut     bool
}

// refusal is why a program is not connected.
type refusal struct {
	why sandbox.ConnectionCause
	err error // for the program to read; nil says it all
}

// accept takes connections at a door until it is closed.
func (p *Proxy) accept(door net.Listener, serve func(*flow)) {
	for {
		c, err := door.Accept()
		if err != nil {
			if !p.tolerates("connections", err) {
				return
			}
			continue
		}
		if p.knocks.Wait(p.ctx) != nil {
			reset(c)
			return
		}
		p.begin(c, serve)
	}
}

// pause is how long a door is left alone that fails, as one does when this process has no descriptor left.
const pause = 100 * time.Millisecond

// tolerates says whether a door that failed may be tried again, after a pause.
func (p *Proxy) tolerates(what string, err error) bool {
	if errors.Is(err, net.ErrClosed) || p.ctx.Err() != nil {
		return false
	}
	p.log.Warn("a door of a sandbox fails", "for", what, "err", err)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// begin serves a connection, if there may be one more.
func (p *Proxy) begin(c net.Conn, serve func(*flow)) {
	p.refresh()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.flows) >= p.limit {
		reset(c)
		if !p.closed {
			p.deny(sandbox.Connection{Why: sandbox.CauseConnections})
		}
		return
	}
	f := &flow{proxy: p, inside: c, began: time.Now()}
	f.ctx, f.cancel = context.WithCancel(p.ctx)
	p.flows[f] = struct{}{}
	p.wg.Go(func() {
		defer p.end(f)
		serve(f)
	})
}

func (p *Proxy) end(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.closeLocked()
	delete(p.flows, f)
}

func (f *flow) closeLocked() {
	f.cancel()
	f.inside.Close()
	if f.outside != nil {
		f.outside.Close()
	}
}

// cutLocked ends a connection so that both ends notice.
func (f *flow) cutLocked() {
	f.cut = true
	f.resetLocked()
}

func (f *flow) resetLocked() {
	f.cancel()
	reset(f.inside)
	if f.outside != nil {
		reset(f.outside)
	}
}

// reset closes a connection in a way that the other end cannot take for a regular end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// connect connects the flow to t, or says why not, and tells.
func (f *flow) connect(t target) *refusal {
	p := f.proxy
	outside, a, no := f.reach(t)
	if why := f.join(outside, a); why != "" {
		no = &refusal{why: why}
	}
	c := f.told(t)
	switch {
	case no == nil:
		c.Kind = sandbox.ConnectionOpened
		p.opened.Add(1)
		p.teller.tell(c)
	case no.why == sandbox.CauseResolve || no.why == sandbox.CauseDial:
		c.Kind, c.Why = sandbox.ConnectionFailed, no.why
		p.failed.Add(1)
		p.teller.tell(c)
	default:
		c.Why = no.why
		p.deny(c)
	}
	return no
}

// join makes outside, if there is one, the flow's other end; unless the policy has changed since it was asked, or the proxy
// was closed: then it says so and closes it.
func (f *flow) join(outside net.Conn, a netip.Addr) (why sandbox.ConnectionCause) {
	p := f.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		why = sandbox.CauseDial
	case f.cut:
		why = cmp.Or(p.forbids(f.target, a), sandbox.CauseName) // which has changed again
	case outside != nil: // SetPolicy did not know of its address
		why = p.forbids(f.target, a)
	}
	if outside == nil {
		return why
	}
	if why != "" {
		outside.Close()
		return why
	}
	f.outside, f.addr = outside, a
	return ""
}

// told is what is known of the flow.
func (f *flow) told(t target) sandbox.Connection {
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	a := f.addr
	if !a.IsValid() {
		a = t.addr
	}
	return sandbox.Connection{Name: t.name, Addr: a, Port: t.port}
}

// deny counts and tells that something was denied.
func (p *Proxy) deny(c sandbox.Connection) {
	p.denied.Add(1)
	c.Kind = sandbox.ConnectionDenied
	p.teller.tell(c)
}
