// Package egress lets a sandbox out: it accepts what the sandbox's programs want to connect to, asks the policy, and
// connects for them. It runs outside of the sandbox, which has no other way out (see package doors), so that nothing in
// there can go around it.
//
// A connection arrives at one of two doors. At the first a program asks, as of any HTTP proxy: CONNECT, or a request with
// an absolute URL. At the second arrives what programs that know of no proxy wanted to send elsewhere; the kernel tells
// where. That would be an address, and policies speak of names: so the third door, that of the name server, answers an
// address out of 198.18.0.0/15 that it has made up, and remembers which name it stands for. Names that the policy does
// not allow get no address. Whatever a program says later in its own protocol (SNI, a Host header) decides nothing.
//
// A name is resolved out here, when it is connected to, and what it resolves to is checked as well: a name that anybody
// can have must not become a way to the host's own network. The connection is made to the address that was checked.
//
// What is inside is hostile. It decides nothing about how much memory there is used here: connections are counted and
// limited, those that are idle hold no buffer, made-up names are forgotten, the oldest first, and questions, attempts and
// events beyond a rate wait or are counted only.
package egress

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says what a sandbox may. The zero Config is that of the zero sandbox.Spec.
type Config struct {
	Policy sandbox.Egress
	// Changed, if not nil, is asked before each connection and each question for a name whether another process has changed
	// the policy, and to what; nil if none has. Two may serve the same sandbox while one takes over from the other:
	// ErrReplaced says that the other has done so, and ends what this one serves. After any other error all is as it was.
	// It has to be quick.
	Changed func() (*sandbox.Egress, error)
	// Limits has Network, Connections and Ports; zero is the default of each, negative none. No limit of the connections
	// is MaxConnections.
	Limits sandbox.Limits
	// Resolve gives the addresses of a name; nil asks the system. The name is in lower case, without a dot at its end.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Dial connects to an address that has been checked; nil does it from this process.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// OnConnection, if not nil, hears what happens, one call at a time, at most some ten per second: what it is not
	// told of it hears as Untold. It may take its time, within reason: connections do not wait for it, but Close does.
	OnConnection func(sandbox.Connection)
	Log          *slog.Logger // nil discards
}

// Doors are where connections arrive; each may be nil.
type Doors struct {
	Connect     net.Listener   // HTTP proxy
	Transparent net.Listener   // redirected connections: TCP on Linux
	DNS         net.PacketConn // questions for names
}

// MaxConnections is how many connections a sandbox without a limit may have: each costs this process two descriptors.
const MaxConnections = 4096

// Connections is how many a sandbox with these limits may have at a time.
func Connections(l sandbox.Limits) int {
	switch {
	case l.Connections == 0:
		return sandbox.DefaultConnections
	case l.Connections < 0:
		return MaxConnections
	}
	return l.Connections
}

// Proxy is the way out of one sandbox. Safe for concurrent use.
type Proxy struct {
	config   Config
	limit    int           // of connections
	up, down *rate.Limiter // bytes; nil is no limit
	knocks   *rate.Limiter // connections per second that are looked at
	names    *names
	own      own
	teller   *teller
	log      *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // grows only under mu, while not closed

	sent, received         atomic.Int64
	opened, denied, failed atomic.Int64

	mu     sync.Mutex
	closed bool
	policy *policy
	flows  map[*flow]struct{}
	doors  map[io.Closer]struct{}
}

// Connections per second that a sandbox may try, and at once after a pause. What is beyond waits in the kernel.
const knocksPerSecond, knocksAtOnce = 1000, 500

// New makes a proxy without doors. Code: Invalid.
func New(c Config) (*Proxy, error) {
	p := &Proxy{
		config: c, names: newNames(), teller: newTeller(c.OnConnection), log: c.Log,
		knocks: rate.NewLimiter(knocksPerSecond, knocksAtOnce),
		flows:  map[*flow]struct{}{}, doors: map[io.Closer]struct{}{},
	}
	var err error
	if p.policy, err = compile(c.Policy, c.Limits.Ports); err != nil {
		p.teller.close()
		return nil, err
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.config.Resolve == nil {
		p.config.Resolve = resolve
	}
	if p.config.Dial == nil {
		p.config.Dial = dial
	}
	p.limit = Connections(c.Limits)
	network := c.Limits.Network
	if network == 0 {
		network = sandbox.DefaultNetwork
	}
	p.up, p.down = bucket(network), bucket(network)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Serve accepts at the doors until Close, which closes them; so does a failed Serve. It returns at once, and may be
// called again, with the same doors from another process or with others.
func (p *Proxy) Serve(d Doors) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := func(c io.Closer, serve func()) {
		if p.closed {
			c.Close()
			return
		}
		p.doors[c] = struct{}{}
		p.wg.Go(func() {
			serve()
			c.Close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.doors, c)
		})
	}
	if d.Connect != nil {
		open(d.Connect, func() { p.accept(d.Connect, p.asked) })
	}
	if d.Transparent != nil {
		open(d.Transparent, func() { p.accept(d.Transparent, p.redirected) })
	}
	if d.DNS != nil {
		open(d.DNS, func() { p.answer(d.DNS) })
	}
	if p.closed {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "egress.Serve", Err: errors.New("the proxy is closed")}
	}
	return nil
}

// SetPolicy changes what the sandbox may connect to, from now on. Connections that it would not let be made are cut.
// Code: Invalid; then nothing has changed.
func (p *Proxy) SetPolicy(e sandbox.Egress) error {
	next, err := compile(e, p.config.Limits.Ports)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policy = next
	for f := range p.flows {
		if f.decided && p.forbids(f.target, f.addr) != "" {
			f.cutLocked()
		}
	}
	return nil
}

// forbids says why there may be no connection to t, at the address a if that is known; "" if there may. Needs mu.
func (p *Proxy) forbids(t target, a netip.Addr) sandbox.ConnectionCause {
	if why := p.policy.forbids(t); why != "" {
		return why
	}
	if a.IsValid() && !p.policy.reaches(a, p.own.has) {
		return sandbox.CauseShut
	}
	return ""
}

// Traffic says what the sandbox has used since New.
func (p *Proxy) Traffic() sandbox.Traffic {
	p.mu.Lock()
	n := len(p.flows)
	p.mu.Unlock()
	return sandbox.Traffic{
		Sent: p.sent.Load(), Received: p.received.Load(), Connections: n,
		Opened: p.opened.Load(), Denied: p.denied.Load(), Failed: p.failed.Load(),
	}
}

// Done is closed when the proxy serves no more: because of ErrReplaced, or of Close, which is to follow in any case.
func (p *Proxy) Done() <-chan struct{} { return p.ctx.Done() }

// Close closes the doors, ends the connections and returns when all is still and OnConnection has heard of it.
// Idempotent.
func (p *Proxy) Close() error {
	p.stop((*flow).closeLocked)
	p.wg.Wait()
	p.teller.close()
	return nil
}

// stop makes an end of everything and waits for none of it, so that what has to end may call it.
func (p *Proxy) stop(end func(*flow)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cancel()
	for d := range p.doors {
		d.Close()
	}
	for f := range p.flows {
		end(f)
	}
}
