package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

const pathAlive = "/alive"

// Ping implements sandbox.Runtime: one request, never repeated, in the time that earlier ones have shown to suffice.
func (c *Client) Ping(ctx context.Context) error {
	f := c.ping(ctx, false)
	if f == nil {
		return nil
	}
	if f.code != sandbox.Denied && f.code != sandbox.Canceled {
		f = &failure{code: sandbox.Unavailable, err: f.err} // a life sign is there or it is not
	}
	return c.error("Ping", f)
}

func (c *Client) ping(ctx context.Context, ready bool) *failure {
	limit := c.probe.timeout()
	probing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begun := time.Now()
	_, f := c.ask(probing, &request{method: "GET", target: pathAlive, quiet: 2 * limit, control: true, ready: ready})
	switch {
	case f == nil:
		c.probe.took(time.Since(begun))
	case ctx.Err() == nil && probing.Err() != nil:
		c.probe.miss()
		f = &failure{code: sandbox.Unavailable, err: fmt.Errorf("no life sign within %s", limit)}
	}
	return f
}

// The pauses of Ready are a sixteenth of the time waited so far, within bounds: what is added to a start is never much
// of it. A local server needs 5 ms, and a refused connection costs 20 µs; a remote one may need minutes.
const (
	readyPauseMin = 200 * time.Microsecond
	readyPauseMax = 50 * time.Millisecond
)

// Ready waits until the server answers that it is ready, or ctx ends. It is the one place that looks again and again:
// before there is a connection nothing can wake it. The breaker does not count what happens here. Codes: Canceled,
// Denied, Unsupported (no version of the protocol in common), Unavailable after Close; or that of a dialer's
// *sandbox.Error, unless it is Unavailable.
func (c *Client) Ready(ctx context.Context) error {
	begun := time.Now()
	var last *failure
	for {
		f := c.ping(ctx, true)
		if f == nil {
			return nil
		}
		if ctx.Err() != nil {
			return c.error("Ready", canceled(ctx, last))
		}
		last = f
		if !f.passes() && !f.answered || f.code == sandbox.Denied || f.code == sandbox.Unsupported || c.life.Err() != nil {
			return c.error("Ready", f)
		}
		timer := time.NewTimer(min(max(time.Since(begun)/16, readyPauseMin), readyPauseMax))
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-c.life.Done():
		}
		timer.Stop()
	}
}

// Interrupt sends SIGINT to what the action runs in the foreground, as C-c in a terminal would. Codes: NotFound if no
// such action is known, Conflict if it is done (or this client is fenced), Invalid, Denied, Unavailable, Lost, Canceled.
func (c *Client) Interrupt(ctx context.Context, actionID string) error {
	if err := sandbox.CheckActionID(actionID); err != nil {
		return c.error("Interrupt", &failure{code: sandbox.Invalid, err: err})
	}
	return c.post(ctx, "Interrupt", wire.PathActions+actionID+wire.SuffixInterrupt)
}

// Renew renews the controller's lease of the sandbox, which ends by itself when nobody does. Codes: Conflict if a newer
// epoch has taken over, Denied, Unavailable, Lost, Canceled.
func (c *Client) Renew(ctx context.Context) error { return c.post(ctx, "Renew", wire.PathLease) }

// SetEnv gives shells and terminals that start in the sandbox from now on these variables; those that run keep what they
// have. Codes: Invalid (a name, or a NUL in a value), Denied, Conflict (fenced), Unavailable, Lost, Canceled.
func (c *Client) SetEnv(ctx context.Context, vars map[string]string) error {
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		body = append(append(append(append(body, name...), '='), vars[name]...), 0)
	}
	_, err := c.call(ctx, "SetEnv", &request{method: "PUT", target: wire.PathEnv, body: body, quiet: c.config.Stall, control: true})
	return err
}

// post sends what is small and may arrive twice.
func (c *Client) post(ctx context.Context, op, target string) error {
	_, err := c.call(ctx, op, &request{method: "POST", target: target, quiet: c.config.Stall, control: true})
	return err
}

// call asks until there is an answer, or no hope.
func (c *Client) call(ctx context.Context, op string, r *request) ([]byte, error) {
	var t tries
	for {
		b, f := c.ask(ctx, r)
		if f == nil {
			return b, nil
		}
		r.doubted = r.doubted || r.sent && !f.answered
		f.final = f.final || r.once && r.doubted
		if f = c.pause(ctx, &t, f); f != nil {
			return nil, c.error(op, r.verdict(f))
		}
	}
}

// maxAnswer is the longest answer held in memory, in bytes: a list of 100,000 long names.
const maxAnswer = 16 << 20

// ask sends r once and reads the whole answer.
func (c *Client) ask(ctx context.Context, r *request) ([]byte, *failure) {
	k, f := c.open(ctx, r)
	if f != nil {
		return nil, f
	}
	b, err := io.ReadAll(io.LimitReader((*body)(k), maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = errors.New("longer than 16 MiB")
	}
	if err != nil {
		f = c.cut(ctx, k, "read the answer", err)
	}
	c.release(k, r, f == nil)
	return b, f
}
