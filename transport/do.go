package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Do implements sandbox.Runtime. An action without an ID gets a fresh one, so that it too runs once: when the answer is
// cut off, Do asks again, with growing pauses and as long as Config.Retry allows, and goes on at the byte of output
// that it had come to. Lost means that the action was sent and its fate could not be learnt in time: Settle with its ID
// tells it later. After Unavailable it has not begun. An action that has not ended Config.Margin after its hard timeout,
// which counts from when its turn came, is Lost with ErrOverdue.
func (c *Client) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	if a.ID == "" {
		a.ID = sandbox.NewActionID()
	}
	var err error
	if a.Args == nil {
		err = errors.New("an action without arguments")
	} else {
		err = sandbox.CheckActionID(a.ID)
	}
	if err != nil {
		return sandbox.Observation{}, c.error("Do", &failure{code: sandbox.Invalid, err: err})
	}
	p := pursuit{c: c, id: a.ID, action: &a, out: out, term: c.term(a.Timeout)}
	return p.run(ctx, "Do")
}

// Settle learns the fate of an action that was sent earlier, perhaps by a process now dead: it joins the action if it
// runs, or gets the stored observation, and never starts anything. out is given the output from its first byte that is
// still held. Codes as of Do; NotFound: the sandbox has not got it, and if this client's epoch is newer than that of
// whoever sent it, never will.
func (c *Client) Settle(ctx context.Context, actionID string, out sandbox.Output) (sandbox.Observation, error) {
	if err := sandbox.CheckActionID(actionID); err != nil {
		return sandbox.Observation{}, c.error("Settle", &failure{code: sandbox.Invalid, err: err})
	}
	p := pursuit{c: c, id: actionID, out: out}
	return p.run(ctx, "Settle")
}

// A pursuit follows one action through any number of connections to its observation.
type pursuit struct {
	c      *Client
	id     string
	action *sandbox.Action // nil if it must not be started
	body   []byte          // what starts it, in the form of version
	out    sandbox.Output

	version int  // that body is in
	twoFold bool // body was sent in another form before

	next  uint64 // offset of the next byte of output
	sent  bool   // a byte of a request that starts the action was written, and the server did not say no to it
	heard bool   // the server has said that it knows the action
	moved bool   // a frame has come in this try
	seen  sandbox.Observation
	traced

	term
}

func (p *pursuit) run(ctx context.Context, op string) (sandbox.Observation, error) {
	var t tries
	p.span = trace.From(ctx)
	figures, begun := p.c.config.Figures, time.Now()
	defer func() { figures.Actions.Since(begun) }()
	for {
		p.attempt()
		f := p.try(ctx)
		p.attempted(f)
		if f == nil {
			figures.Ended.Add(nil)
			return p.seen, nil
		}
		if f.code == sandbox.Conflict && p.sent && p.twoFold { // of the two bodies the server has the first
			p.heard, p.twoFold = true, false
			continue
		}
		f = p.overdue(f, p.sent || p.heard)
		if p.moved {
			t.progress()
		}
		if f = p.c.pause(ctx, &t, f); f != nil {
			f = p.verdict(f)
			figures.Ended.AddCode(f.code)
			return sandbox.Observation{}, p.c.error(op, f)
		}
		if p.heard {
			count(&p.c.counts.resumes, &p.c.config.Figures.Resumes)
		}
	}
}

// verdict corrects a failure by what earlier tries have shown: that the last one did not arrive says little about them.
func (p *pursuit) verdict(f *failure) *failure {
	if f.code == sandbox.NotFound && p.heard && !f.final {
		return &failure{code: sandbox.Lost, err: fmt.Errorf("the sandbox has forgotten the action: %w", f.err)}
	}
	if (f.code == sandbox.Unavailable || f.code == sandbox.Exhausted) && (p.sent || p.heard) {
		return &failure{code: sandbox.Lost, err: f.err}
	}
	return f
}

// try asks once, and follows the answer as far as it goes.
func (p *pursuit) try(ctx context.Context) *failure {
	p.moved = false
	r := p.request()
	k, f := p.c.open(ctx, r)
	if p.action != nil && !p.heard {
		p.sent = p.sent || r.sent && (f == nil || !f.answered)
	}
	if f != nil {
		return f
	}
	reusable := false
	defer func() { p.c.release(k, r, reusable) }() // deferred: out may panic
	p.heard = true
	k.framed = true
	f = p.follow(ctx, k, r.version)
	reusable = f == nil
	return f
}

// request makes the request of the next try. Once the server is known to have the action, nothing that could start it
// is sent any more: should its memory be lost, the action has run.
func (p *pursuit) request() *request {
	r := &request{method: "GET", target: wire.PathActions + p.id, quiet: p.c.config.Stall, term: &p.term}
	if p.next > 0 {
		r.target += "?offset=" + strconv.FormatUint(p.next, 10)
	}
	if p.action != nil && !p.heard {
		if v := p.c.spoken(); v != p.version {
			p.twoFold = p.sent
			p.version, p.body = v, actionBody(*p.action, v)
		}
		r.method, r.body, r.form = "POST", p.body, p.version
	}
	r.control = r.method == "GET"
	if p.now != nil {
		r.extra = wire.HeaderTrace + ": " + p.now.Traceparent() + "\r\n"
	}
	return r
}

// answered is a failure that is the action's own answer. That something was not found is not that the action was not, which
// is what Settle's caller would take it for.
func (p *pursuit) answered(f *failure) *failure {
	if f.code == sandbox.NotFound {
		f.final = true
		if p.body == nil {
			f.code = sandbox.Invalid
		}
	}
	return f
}

// follow reads frames until the last one.
func (p *pursuit) follow(ctx context.Context, k *conn, version int) *failure {
	for {
		frame, err := k.frames.Next()
		if err != nil {
			if err == io.EOF && k.broken == nil { // the server ended the stream in good order, but before its time
				k.broken = errors.New("the stream ended early")
			}
			return p.c.cut(ctx, k, "read the answer", err)
		}
		p.moved = true
		k.until = p.heardOf(frame)
		switch frame.Type {
		case wire.FrameOutput:
			if err := hand(&p.next, frame, p.out); err != nil {
				return p.c.cut(ctx, k, "read the answer", err)
			}
		case wire.FrameDone:
			if p.seen, err = observation(frame.Payload, version); err != nil {
				return p.c.cut(ctx, k, "read the observation", err)
			}
			return nil
		case wire.FrameSpans:
			p.took(frame.Payload)
		case wire.FrameError:
			return p.answered(said(wire.ParseError(frame.Payload, 0), true))
		}
	}
}

// hand hands on what is new of an output frame, to out if there is one; next is the offset of the next byte.
func hand(next *uint64, frame wire.Frame, out sandbox.Output) error {
	b := frame.Payload
	if frame.Offset > math.MaxInt64-uint64(len(b)) {
		return fmt.Errorf("output at offset %d", frame.Offset)
	}
	if frame.Offset < *next { // some of it has come before
		b = b[min(*next-frame.Offset, uint64(len(b))):]
		frame.Offset = *next
	}
	if len(b) == 0 {
		return nil
	}
	*next = frame.Offset + uint64(len(b))
	if out != nil {
		out(int64(frame.Offset), b)
	}
	return nil
}
