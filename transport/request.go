package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/transport/breaker"
)

// request is one request, possibly tried several times.
type request struct {
	method, target string
	body           []byte        // small enough to be held; or
	stream         *upload       // nil if there is none
	upgrade        string        // the protocol to change to; the answer must be 101
	quiet          time.Duration // the longest silence
	term           *term         // by whose end the answer must have come whole; nil if it has none
	control        bool          // does not wait for the connections of actions and files
	ready          bool          // does not ask the breaker
	form           int           // the version that body is in; 0 if it is the same in all
	since          int           // the version that has the route
	extra          string        // lines of the head besides the usual ones
	once           bool          // must not be sent again after a cut
	doubted        bool          // an earlier try was cut, and may have had its effect
	version        int           // that the last try was in
	sent           bool          // a byte of it has been written, in any try
}

// verdict corrects the failure of the last try by what earlier ones have shown: that the last one did not arrive says
// nothing about them.
func (r *request) verdict(f *failure) *failure {
	if f.code == sandbox.Unavailable && r.sent && !f.answered {
		return &failure{code: sandbox.Lost, err: f.err}
	}
	return f
}

// maxErrorBody is the most read of an answer that says what went wrong, in bytes.
const maxErrorBody = 64 << 10

// open sends r and reads the head of the answer, unless the breaker says no. The caller reads the body and must then
// release the connection. A status that is no success is a failure.
func (c *Client) open(ctx context.Context, r *request) (k *conn, f *failure) {
	if ctx.Err() != nil { // before the breaker, which would say something else
		return nil, canceled(ctx, nil)
	}
	if r.version = r.form; r.form == 0 {
		r.version = c.spoken()
	}
	if f := r.tooOld(); f != nil {
		return nil, f
	}
	count(&c.counts.requests, &c.config.Figures.Requests)
	if r.ready {
		return c.exchange(ctx, r)
	}
	err := c.breaker.Do(func() error {
		if k, f = c.exchange(ctx, r); f != nil {
			return f // not in one statement: a nil *failure is no nil error
		}
		return nil
	})
	if err == breaker.ErrOpen {
		return nil, c.refused()
	}
	return k, f
}

func (c *Client) refused() *failure {
	err := fmt.Errorf("%w: a trial is on its way", breaker.ErrOpen)
	if next := c.breaker.Next(); !next.IsZero() {
		err = fmt.Errorf("%w: next try at %s", breaker.ErrOpen, next.Format(time.RFC3339Nano))
	}
	return &failure{code: sandbox.Unavailable, err: err, refused: true}
}

// exchange sends r and reads the head of the answer.
func (c *Client) exchange(ctx context.Context, r *request) (*conn, *failure) {
	k, f := c.acquire(ctx, r)
	if f != nil {
		return nil, f
	}
	k.quiet, k.until, k.framed = r.quiet, time.Time{}, false
	if r.term != nil {
		k.until = r.term.begin()
	}
	k.watch(ctx)
	if f = c.send(ctx, k, r); f == nil {
		f = c.head(ctx, k, r)
	}
	if f != nil {
		c.release(k, r, f.answered)
		return nil, f
	}
	return k, nil
}

// send writes r.
func (c *Client) send(ctx context.Context, k *conn, r *request) *failure {
	b := append(k.out[:0], r.method...)
	b = append(b, ' ')
	b = append(b, r.target...)
	b = append(b, " HTTP/1.1\r\n"...)
	b = append(append(b, c.headers[r.version]...), r.extra...)
	switch {
	case r.stream != nil:
		b = r.stream.appendHeaders(b)
	case r.upgrade != "":
		b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), r.upgrade...), "\r\n"...)
	case r.method != "GET":
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	rest := r.body
	if n := min(len(rest), max(0, writeBuffer-len(b))); n > 0 {
		b, rest = append(b, rest[:n]...), rest[n:]
	}
	k.out = b
	n, err := k.Write(b)
	r.sent = r.sent || n > 0
	if err == nil && len(rest) > 0 {
		_, err = k.Write(rest)
	}
	if err == nil && r.stream != nil {
		err = r.stream.writeTo(k)
	}
	if err == nil {
		return nil
	}
	if r.stream != nil && r.stream.failed != nil {
		return &failure{code: sandbox.Internal, err: r.stream.failed, final: true}
	}
	return c.unwritten(ctx, k, r, n, err)
}

// unwritten makes the failure of a request that could not be written whole, of which n bytes went out at first. A
// server that refuses a long body says why and hangs up: its answer tells more than the broken pipe.
func (c *Client) unwritten(ctx context.Context, k *conn, r *request, n int, err error) *failure {
	if n == 0 {
		if f := c.ended(ctx, k); f != nil {
			return f
		}
		return &failure{code: sandbox.Unavailable, err: fmt.Errorf("send: %w", err)}
	}
	if k.quiet = time.Second; !k.canceled.Load() {
		if f := c.head(ctx, k, r); f != nil && f.answered {
			return f
		}
	}
	return c.cut(ctx, k, "send", err)
}

// head reads the head of the answer, and if it tells of a failure, that.
func (c *Client) head(ctx context.Context, k *conn, r *request) *failure {
	if err := k.answer.ReadLimitBody(k.in, 0); err != nil {
		return c.cut(ctx, k, "read the answer's head", err)
	}
	if f := c.learn(k, r); f != nil {
		return f
	}
	status := k.answer.StatusCode()
	if r.upgrade != "" && status < 300 {
		if status != 101 || !strings.EqualFold(string(k.answer.Header.Peek("Upgrade")), r.upgrade) {
			return &failure{code: sandbox.Unsupported, err: fmt.Errorf("the server answers %d and does not change to %s", status, r.upgrade), final: true}
		}
		return nil
	}
	if status >= 200 && status < 300 {
		if k.answer.Header.ContentLength() == -2 && k.answer.BodyStream() != nil {
			return &failure{code: sandbox.Lost, err: errors.New("malformed answer: no length"), final: true}
		}
		return nil
	}
	b, err := io.ReadAll(io.LimitReader((*body)(k), maxErrorBody))
	if err != nil {
		return c.cut(ctx, k, "read the answer", err)
	}
	return said(wire.ParseError(b, status), true)
}

// said makes a failure of an error that the server reported.
func said(err error, answered bool) *failure {
	f := &failure{code: sandbox.CodeOf(err), err: err, answered: answered}
	if e, ok := err.(*sandbox.Error); ok && e.Err != nil {
		f.err = e.Err // its code is in f; repeated in the text it would only confuse
		if e.Op != "" && e.Op != "server" {
			f.err = fmt.Errorf("%s: %w", e.Op, e.Err)
		}
	}
	if f.code == sandbox.Canceled {
		f.code = sandbox.Lost // somebody gave up, but not our caller
	}
	return f
}

// cut makes the failure of an answer that did not come whole: the connection broke, or what came is malformed.
func (c *Client) cut(ctx context.Context, k *conn, doing string, err error) *failure {
	if f := c.ended(ctx, k); f != nil {
		return f
	}
	if k.broken == nil {
		k.broken = err
		return &failure{code: sandbox.Lost, err: fmt.Errorf("%s: malformed answer: %w", doing, err), final: true}
	}
	return &failure{code: sandbox.Lost, err: fmt.Errorf("%s: %w", doing, k.broken)}
}

// ended says whether this side ended the request, and how; nil if not.
func (c *Client) ended(ctx context.Context, k *conn) *failure {
	switch {
	case ctx.Err() != nil:
		return canceled(ctx, nil)
	case c.life.Err() != nil:
		return &failure{code: sandbox.Lost, err: errClosed, final: true}
	}
	return nil
}
