package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// acquire gives a connection for r: an idle one, or a new one. It waits while too many are in use.
func (c *Client) acquire(ctx context.Context, r *request) (*conn, *failure) {
	if !r.control {
		select {
		case c.slots <- struct{}{}:
		default:
			select {
			case c.slots <- struct{}{}:
			case <-ctx.Done():
				return nil, canceled(ctx, nil)
			case <-c.life.Done():
				return nil, &failure{code: sandbox.Unavailable, err: errClosed, final: true}
			}
		}
	}
	k, f := c.connection(ctx)
	if f != nil && !r.control {
		<-c.slots
	}
	return k, f
}

func (c *Client) connection(ctx context.Context) (*conn, *failure) {
	for {
		k, closed := c.takeIdle()
		switch {
		case closed:
			return nil, &failure{code: sandbox.Unavailable, err: errClosed, final: true}
		case k == nil:
			return c.dial(ctx)
		case k.fresh():
			return k, nil
		}
		c.drop(k)
	}
}

func (c *Client) takeIdle() (k *conn, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		k, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	return k, c.closed
}

// release ends the use of k by r. It is kept if it is reusable: nothing went wrong, and the answer was seen to its end.
func (c *Client) release(k *conn, r *request, reusable bool) {
	if !r.control {
		defer func() { <-c.slots }()
	}
	if k.unwatch() && reusable && k.broken == nil {
		c.mu.Lock()
		if !c.closed && len(c.idle) < maxIdle {
			k.used = time.Now()
			c.idle = append(c.idle, k)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
	c.drop(k)
}

func (c *Client) drop(k *conn) {
	c.mu.Lock()
	delete(c.conns, k)
	c.mu.Unlock()
	k.Close()
}

// dial opens a connection, in the time that round trips have shown to suffice.
func (c *Client) dial(ctx context.Context) (*conn, *failure) {
	limit := c.connect.timeout()
	dialing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	count(&c.counts.dials, &c.config.Figures.Dials)
	begun := time.Now()
	nc, err := c.dialer(dialing)
	if err != nil {
		return nil, c.noConnection(ctx, dialing, limit, err)
	}
	c.connect.took(time.Since(begun))
	k := newConn(nc)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		nc.Close()
		return nil, &failure{code: sandbox.Unavailable, err: errClosed, final: true}
	}
	c.conns[k] = struct{}{}
	return k, nil
}

func (c *Client) noConnection(ctx, dialing context.Context, limit time.Duration, err error) *failure {
	switch {
	case ctx.Err() != nil:
		return canceled(ctx, nil)
	case c.life.Err() != nil:
		return &failure{code: sandbox.Unavailable, err: errClosed, final: true}
	case dialing.Err() != nil:
		c.connect.miss()
		return &failure{code: sandbox.Unavailable, err: fmt.Errorf("no connection within %s: %w", limit, err)}
	}
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Code != sandbox.Canceled { // nobody has canceled, see above
		return &failure{code: e.Code, err: err}
	}
	return &failure{code: sandbox.Unavailable, err: fmt.Errorf("connect: %w", err)}
}
