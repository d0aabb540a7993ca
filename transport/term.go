package transport

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// ErrOverdue is in the chain of Lost when the server in the sandbox gives signs of life but not the end of an action whose
// time is over: it is stuck, or it lies. What the action does is not known; it may be going on.
var ErrOverdue = errors.New("the server in the sandbox lives but has not finished the action in its time")

// A term is the time that one action has. The zero term has no end.
type term struct {
	limit   time.Duration // from when its turn came; 0 is none
	turn    time.Duration // the longest wait for that
	sent    time.Time     // when it was first asked for
	running bool          // its turn has come
	until   time.Time
}

// term makes the term of an action with a hard timeout; 0 is none.
func (c *Client) term(timeout time.Duration) term {
	if timeout == 0 || timeout > math.MaxInt64-c.config.Margin {
		return term{}
	}
	return term{limit: max(timeout, 0) + c.config.Margin, turn: c.config.Turn}
}

// begin starts the term, unless it has begun, and gives its end as things stand.
func (t *term) begin() time.Time {
	if t.limit > 0 && t.sent.IsZero() {
		t.sent = time.Now()
		t.until = t.sent.Add(t.limit)
	}
	return t.until
}

// heardOf gives the end of the term after a frame. As long as the server says that the action waits for its turn, the end
// moves on: by a heartbeat too, since the turn may come right after one.
func (t *term) heardOf(f wire.Frame) time.Time {
	switch {
	case t.limit == 0 || t.running:
	case f.Type == wire.FrameHeartbeat && string(f.Payload) == wire.HeartbeatWaiting:
		last := t.sent.Add(t.turn)
		if now := time.Now(); now.Before(last) {
			last = now.Add(wire.HeartbeatSeconds * time.Second)
		}
		t.until = last.Add(t.limit)
	case f.Type == wire.FrameHeartbeat, f.Type == wire.FrameOutput:
		t.running = true
	}
	return t.until
}

// overdue is f, or if the term is over, that; asked says that the sandbox may have the action.
func (t *term) overdue(f *failure, asked bool) *failure {
	if t.until.IsZero() || !asked || time.Now().Before(t.until) || f.code != sandbox.Lost && f.code != sandbox.Unavailable {
		return f
	}
	err := fmt.Errorf("%w: asked %v ago, of which it may take %v: %w", ErrOverdue, time.Since(t.sent).Round(time.Second), t.limit, f.err)
	return &failure{code: sandbox.Lost, err: err, final: true}
}
