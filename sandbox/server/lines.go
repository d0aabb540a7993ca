package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// lineDelay is how long a line may wait for others to go with it in one write.
const lineDelay = 20 * time.Millisecond

// A lineStream is the body of an answer of lines of JSON, which go on for as long as it takes.
type lineStream struct {
	s       *Server
	conn    net.Conn
	produce func(ctx context.Context, out *lineWriter)
	idle    func(out *lineWriter) error // called after each heartbeat's time without a line; its error ends ctx
	closed  func()                      // called in any case when all is over
}

var (
	_ fasthttp.BodyWriterTo = (*lineStream)(nil)
	_ io.Closer             = (*lineStream)(nil)
)

// answerLines begins such an answer.
func (s *Server) answerLines(ctx *fasthttp.RequestCtx, l *lineStream) {
	l.s, l.conn = s, ctx.Conn()
	s.contact.hold(l.conn)
	ctx.SetContentType(wire.TypeLines)
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStream(l, -1)
}

// WriteTo implements fasthttp.BodyWriterTo.
func (l *lineStream) WriteTo(w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(l.s.life)
	defer cancel()
	c := &counter{w: w}
	out := &lineWriter{w: bufio.NewWriterSize(c, chunk)}
	out.json = json.NewEncoder(out.w)
	out.json.SetEscapeHTML(false)
	out.mu.Lock()
	out.flush = time.AfterFunc(time.Hour, func() { out.flushNow(cancel) })
	out.beat = time.AfterFunc(heartbeat, func() {
		if out.alive(l.idle) != nil {
			cancel()
		}
	})
	out.mu.Unlock()
	l.produce(ctx, out)
	err := out.end()
	return c.n, err
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (l *lineStream) SupportsBodyWriteTo() bool { return true }

// Read is never called where WriteTo can be; fasthttp asks for it by type.
func (l *lineStream) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close implements io.Closer; fasthttp calls it when the answer has ended in whatever way.
func (l *lineStream) Close() error {
	l.closed()
	l.s.contact.release(l.conn)
	return nil
}

// A lineWriter writes lines, and several at once where they come fast. Safe for concurrent use.
type lineWriter struct {
	mu    sync.Mutex
	w     *bufio.Writer
	json  *json.Encoder
	flush *time.Timer // set while there is something to flush
	beat  *time.Timer
	ended bool
	err   error
}

// line writes v as a line, at the latest after lineDelay.
func (o *lineWriter) line(v any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.ended {
		return o.err
	}
	empty := o.w.Buffered() == 0
	if o.err = o.json.Encode(v); empty && o.w.Buffered() > 0 {
		o.flush.Reset(lineDelay)
	}
	o.beat.Reset(heartbeat)
	return o.err
}

func (o *lineWriter) flushNow(failed func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended && o.err == nil {
		if o.err = o.w.Flush(); o.err != nil {
			failed()
		}
	}
}

// alive calls idle, and comes again.
func (o *lineWriter) alive(idle func(*lineWriter) error) error {
	err := idle(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.beat.Reset(heartbeat)
	}
	return err
}

func (o *lineWriter) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.flush.Stop()
	o.beat.Stop()
	if o.err == nil {
		o.err = o.w.Flush()
	}
	return o.err
}

// whileThere is idle for streams that have no heartbeats: nothing but a look tells that the client has gone.
func whileThere(conn net.Conn) func(*lineWriter) error {
	return func(*lineWriter) error {
		if !connected(conn) {
			return net.ErrClosed
		}
		return nil
	}
}

// errorBody is err as a line of an answer has it; nil for none.
func (s *Server) errorBody(err error) *wire.ErrorBody {
	if err == nil {
		return nil
	}
	if s.life.Err() != nil {
		err = refused(sandbox.Unavailable, "server", "the server stops: ask again when it is there")
	}
	text := err.Error()
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Err != nil {
		text = e.Err.Error()
	}
	return &wire.ErrorBody{Code: string(sandbox.CodeOf(err)), Message: text, Timestamp: time.Now().UTC()}
}

// shares bound how many streams of a kind there are at once.
type shares struct {
	mu   sync.Mutex
	used map[string]int
}

// take takes one of a kind. Code: Exhausted.
func (h *shares) take(kind string, most int) (release func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.used[kind] >= most {
		return nil, refused(sandbox.Exhausted, "files", fmt.Sprintf("there are %d %s already, the most: end one, or wait", most, kind))
	}
	if h.used == nil {
		h.used = map[string]int{}
	}
	h.used[kind]++
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.used[kind]--
	}), nil
}
