// Package transport is the client of the server in a sandbox: it implements sandbox.Runtime over whatever connections a
// dialer gives.
//
// Three ideas carry it. An action has an id, and the server keeps a ledger of ids, so asking again is always safe: when
// a connection breaks in the middle, Do asks again with the id and the offset of the next byte of output, and its caller
// sees neither the cut nor a byte twice. Failures are told apart by whether the request can have arrived: Unavailable
// means that nothing reached the sandbox, Lost that something may have and the answer was not seen. And silence is
// noticed by what the server promises: it sends a heartbeat every five seconds, so three of them missing is a dead
// connection, however long the action takes.
//
// A circuit breaker stands before every request but those of Ready. A connection is used by one request at a time and
// kept for the next; nothing runs in the background, so Close has nothing to wait for.
//
// What comes from the server is untrusted: frames, answers and headers are bounded by their readers, and what does not
// follow the protocol ends the call with Lost and the connection with it. Heartbeats can be sent for ever, so an action with
// a hard timeout is bounded by that too, and a margin: a server that is not done by then is stuck or lies (ErrOverdue). An
// action without one is bounded by the caller's context only.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/transport/breaker"
)

// Dialer opens a connection to the server in a sandbox. ctx bounds the opening. An error that is a *sandbox.Error keeps
// its code; any other is Unavailable.
type Dialer func(ctx context.Context) (net.Conn, error)

// Config says how a Client behaves. The zero Config is a useful one.
type Config struct {
	Key   string     // the server's API key; "" sends none
	ID    sandbox.ID // of the sandbox, for errors
	Epoch uint64     // of the controller's activation; 0 sends none. The server refuses one lower than it has seen
	Owner string     // whose controller this is; "" sends none
	Host  string     // the Host header; "" means "sandbox"

	// The timeouts for a connection and for a life sign follow the round trips measured, within these bounds.
	ConnectMin, ConnectMax time.Duration // 0 means 500 ms and 10 s
	ProbeMin, ProbeMax     time.Duration // 0 means 1 s and 10 s

	Stall    time.Duration // silence in a stream that is taken for death; 0 means three heartbeats, 15 s
	Margin   time.Duration // beyond its hard timeout, that an action may take to be answered; 0 means 30 s
	Turn     time.Duration // the longest that an action with a hard timeout waits for its turn; 0 means an hour
	MaxConns int           // connections at a time for actions and files (life signs and the like come on top); 0 means 32
	Retry    Retry
	Breaker  breaker.Config // what a failure is, is decided here: Failed, Ignored and OnChange are not used

	// OnBreaker hears of the breaker's changes, as breaker.Config.OnChange does.
	OnBreaker func(from, to breaker.State)
	// Figures, if not nil, count what the client does, with others that share them.
	Figures *Figures
}

const (
	defaultConnectMin = 500 * time.Millisecond // a local connect takes 20 µs, but a loaded machine may schedule late
	defaultConnectMax = 10 * time.Second
	defaultProbeMin   = time.Second // as ConnectMin, and the server's disk may be slow
	defaultProbeMax   = 10 * time.Second
	defaultStall      = 3 * wire.HeartbeatSeconds * time.Second
	defaultMargin     = 30 * time.Second // a fork bomb was seen to hold an answer up for 17 s
	defaultTurn       = time.Hour        // what stands before an action may have any timeout; this is only not for ever
	defaultMaxConns   = 32
	fileStall         = time.Minute // silence in a file transfer, where there are no heartbeats: a disk may be slow
	maxIdle           = 4           // connections kept for the next request; one action at a time needs one or two
)

// Client talks to the server of one sandbox. Safe for concurrent use.
type Client struct {
	dialer  Dialer
	config  Config
	headers [wire.Version + 1]string // of every request, by version
	version atomic.Int32             // of the native form, that is spoken with the server as far as is known
	breaker *breaker.Breaker
	connect roundTrips
	probe   roundTrips
	slots   chan struct{} // has room for one token per connection in use for actions and files

	life context.Context // ends with Close
	end  context.CancelFunc

	mu     sync.Mutex
	conns  map[*conn]struct{} // all that are open
	idle   []*conn            // the one used last comes last
	closed bool

	counts  struct{ requests, retries, resumes, dials atomic.Uint64 }
	counted counted
}

// New makes a client; it does not connect. Code: Invalid, naming the field.
func New(d Dialer, c Config) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "transport.New", ID: c.ID, Err: err}
	}
	if d == nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "transport.New", ID: c.ID, Err: errors.New("no dialer")}
	}
	c = c.withDefaults()
	client := &Client{
		dialer:  d,
		config:  c,
		connect: roundTrips{first: c.ConnectMax, min: c.ConnectMin, max: c.ConnectMax},
		probe:   roundTrips{first: c.ProbeMin, min: c.ProbeMin, max: c.ProbeMax},
		slots:   make(chan struct{}, c.MaxConns),
		conns:   map[*conn]struct{}{},
	}
	for v := wire.OldestVersion; v <= wire.Version; v++ {
		client.headers[v] = c.headers(v)
	}
	client.version.Store(wire.Version)
	client.life, client.end = context.WithCancel(context.Background())
	b := c.Breaker
	b.Failed, b.Ignored, b.OnChange = countsAgainst, saysNothing, client.moved(c.OnBreaker)
	client.breaker = breaker.New(b)
	c.Figures.breakers[breaker.Closed].Add(1)
	return client, nil
}

func (c Config) check() error {
	for field, s := range map[string]string{"Key": c.Key, "Owner": c.Owner, "Host": c.Host} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s has a control character", field)
		}
	}
	for field, d := range map[string]time.Duration{
		"ConnectMin": c.ConnectMin, "ConnectMax": c.ConnectMax, "ProbeMin": c.ProbeMin, "ProbeMax": c.ProbeMax,
		"Stall": c.Stall, "Margin": c.Margin, "Turn": c.Turn, "Retry.Base": c.Retry.Base, "Retry.Cap": c.Retry.Cap, "MaxConns": time.Duration(c.MaxConns),
	} {
		if d < 0 {
			return fmt.Errorf("%s is negative", field)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&c.ConnectMin, defaultConnectMin)
	or(&c.ConnectMax, max(defaultConnectMax, c.ConnectMin))
	or(&c.ProbeMin, defaultProbeMin)
	or(&c.ProbeMax, max(defaultProbeMax, c.ProbeMin))
	or(&c.Stall, defaultStall)
	or(&c.Margin, defaultMargin)
	or(&c.Turn, defaultTurn)
	c.Retry = c.Retry.withDefaults()
	if c.Figures == nil {
		c.Figures = NewFigures()
	}
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns
	}
	if c.Host == "" {
		c.Host = "sandbox"
	}
	return c
}

func (c Config) headers(version int) string {
	h := "Host: " + c.Host + "\r\n" + wire.HeaderVersion + ": " + strconv.Itoa(version) + "\r\n"
	if c.Key != "" {
		h += wire.HeaderKey + ": " + c.Key + "\r\n"
	}
	if c.Epoch != 0 {
		h += wire.HeaderEpoch + ": " + strconv.FormatUint(c.Epoch, 10) + "\r\n"
	}
	if c.Owner != "" {
		h += wire.HeaderOwner + ": " + c.Owner + "\r\n"
	}
	return h
}

// Close lets go of the sandbox: it closes every connection, terminals too, and calls in progress fail. The sandbox, and
// what runs in it, goes on. Idempotent; the error is always nil.
func (c *Client) Close() error {
	c.end()
	c.breaker.Close()
	c.uncount()
	c.mu.Lock()
	c.closed = true
	conns := c.conns
	c.conns, c.idle = map[*conn]struct{}{}, nil
	c.mu.Unlock()
	for k := range conns {
		k.Close()
	}
	return nil
}

// Breaker is the state of the circuit breaker and, if it is open, the time of the next try.
func (c *Client) Breaker() (breaker.State, time.Time) { return c.breaker.State(), c.breaker.Next() }

// Stats are figures of a client since it was made, and of the present.
type Stats struct {
	Requests, Retries, Resumes, Dials uint64        // Resumes: actions, processes and files asked for again after a cut
	Conns, Idle                       int           // connections open, and of these not in use
	RoundTrip                         time.Duration // smoothed, of life signs; 0 before the first
	ConnectTimeout, ProbeTimeout      time.Duration // that apply now
}

// Stats takes the figures.
func (c *Client) Stats() Stats {
	s := Stats{
		Requests: c.counts.requests.Load(), Retries: c.counts.retries.Load(),
		Resumes: c.counts.resumes.Load(), Dials: c.counts.dials.Load(),
		RoundTrip: c.probe.smoothed(), ConnectTimeout: c.connect.timeout(), ProbeTimeout: c.probe.timeout(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Conns, s.Idle = len(c.conns), len(c.idle)
	return s
}
