package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	// piece is how much is passed on at a time: from 32 KiB on, a larger one is no faster.
	piece = 32 << 10
	// slack is how much time's worth of bytes a connection may catch up with: on a machine that makes us wait for less
	// than this, the rate is exact, and beyond it a sandbox gets less than it may.
	slack = 100 * time.Millisecond
)

// patience is how long one direction may be silent after the other has ended. A program that has exited looks like one
// that waits for an answer; without a bound, a server that never answers would keep its connections for good.
const patience = 5 * time.Minute

var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

// bucket limits the bytes that bits per second are; nil is no limit.
func bucket(bits int64) *rate.Limiter {
	if bits < 0 {
		return nil
	}
	bytes := float64(bits) / 8
	return rate.NewLimiter(rate.Limit(bytes), max(1<<10, int(bytes*slack.Seconds())))
}

// pump passes bytes on in both directions until both ends are done, and tells. first is what was read from inside
// already and is to be passed on.
func (f *flow) pump(first []byte) {
	p := f.proxy
	var sent, received atomic.Int64
	var wg sync.WaitGroup
	down := stream{to: f.inside, from: f.outside, limit: p.down, counts: []*atomic.Int64{&received, &p.received}}
	up := stream{to: f.outside, from: f.inside, limit: p.up, counts: []*atomic.Int64{&sent, &p.sent}}
	wg.Go(func() {
		f.finish(down.copy(f.ctx, nil))
		up.hurry()
	})
	f.finish(up.copy(f.ctx, first))
	down.hurry()
	wg.Wait()

	c := f.told(f.target)
	c.Kind, c.Sent, c.Received, c.Took = sandbox.ConnectionClosed, sent.Load(), received.Load(), time.Since(f.began)
	p.mu.Lock()
	if f.cut {
		c.Kind = sandbox.ConnectionCut
		c.Why = p.forbids(f.target, f.addr)
	}
	p.mu.Unlock()
	p.teller.tell(c)
}

// finish ends the flow if one direction has failed. One that has come to its end leaves the other alone.
func (f *flow) finish(err error) {
	if err == nil {
		return
	}
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	f.cancel()
	reset(f.inside)
	reset(f.outside)
}

// stream is one direction of a flow.
type stream struct {
	to, from net.Conn
	limit    *rate.Limiter
	counts   []*atomic.Int64
	alone    atomic.Bool // the other direction has ended
}

// hurry gives the stream so much patience, from now on.
func (s *stream) hurry() {
	s.alone.Store(true)
	_ = s.from.SetReadDeadline(time.Now().Add(patience))
}

// copy passes on first, then what comes, until the end, which it passes on too.
func (s *stream) copy(ctx context.Context, first []byte) error {
	if err := s.pass(ctx, first); err != nil {
		return err
	}
	wait := waiter(s.from)
	for {
		if err := wait(); err != nil { // with no buffer in hand: most connections are idle most of the time
			return err
		}
		b := pieces.Get().(*[piece]byte)
		n, err := s.from.Read(b[:])
		if n > 0 {
			if err := s.pass(ctx, b[:n]); err != nil {
				pieces.Put(b)
				return err
			}
			if s.alone.Load() {
				s.hurry()
			}
		}
		pieces.Put(b)
		switch {
		case errors.Is(err, io.EOF):
			return s.half()
		case err != nil:
			return err
		}
	}
}

// pass passes b on, no faster than allowed.
func (s *stream) pass(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if s.limit != nil {
			n = min(n, s.limit.Burst())
			if err := s.limit.WaitN(ctx, n); err != nil {
				return err
			}
		}
		n, err := s.to.Write(b[:n])
		for _, c := range s.counts {
			c.Add(int64(n))
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// half says to the other end that no more will come.
func (s *stream) half() error {
	if c, ok := s.to.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.to.Close()
}
