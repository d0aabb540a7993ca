package server

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

const (
	// soon is how long an answer waits for the action's end before it becomes a stream, which costs the client and us a
	// few more system calls: shell builtins and file actions take well under a millisecond.
	soon = 5 * time.Millisecond
	// With others about, everything takes longer: so it is so much more for each of them, up to so much.
	soonEach = time.Millisecond / 2
	soonMost = 50 * time.Millisecond
	// plenty is the output that is streamed without waiting for soon.
	plenty = 32 << 10
	// chunk is the most output in one write of a stream: large enough that system calls are few, small enough that a
	// stream costs little memory.
	chunk = 64 << 10

	heartbeat = wire.HeartbeatSeconds * time.Second
)

// take appends frames of what the action has printed from the reader's offset on, at most limit bytes of it, and moves
// the reader on. What is no longer held is skipped, which shows as a jump of the offset.
func (r *reader) take(dst []byte, limit int) []byte {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	out := &r.a.out
	r.offset = max(r.offset, out.start())
	for limit > 0 && r.offset < out.end {
		p := out.piece(r.offset)
		p = p[:min(len(p), limit)]
		dst = wire.AppendFrame(dst, wire.Frame{Type: wire.FrameOutput, Offset: r.offset, Payload: p})
		r.offset += uint64(len(p))
		limit -= len(p)
	}
	r.stalled = r.stalled && r.offset < out.end
	wake(r.a.moved)
	return dst
}

// soon is how long an answer waits now before it becomes a stream.
func (s *Server) soon() time.Duration {
	running := max(s.figures.running.Load(), 1) // those that only wait for their turn take no time from the others
	return min(soon+time.Duration(running-1)*soonEach, soonMost)
}

// answer puts the action's frames, output from offset on, into the answer of ctx: as one body if the action ends soon,
// else as a stream.
func (s *Server) answer(ctx *fasthttp.RequestCtx, a *action, r *reader) {
	ctx.SetContentType(framesType)
	if s.endsSoon(a, r) {
		defer r.leave()
		if body := r.take(nil, a.out.max); len(body) > 0 {
			ctx.Response.SetBodyRaw(append(body, r.last()...))
		} else {
			ctx.Response.SetBodyRaw(r.last())
		}
		return
	}
	r.want(1)
	conn := ctx.Conn()
	s.contact.hold(conn)
	ctx.Response.ImmediateHeaderFlush = true // so that the client knows that the action has been received
	ctx.SetBodyStream(&stream{a: a, r: r, conn: conn, contact: s.contact}, -1)
}

// endsSoon waits for the action's end until it takes long or prints much.
func (s *Server) endsSoon(a *action, r *reader) bool {
	select {
	case <-a.done:
		return true
	default:
	}
	timer := time.NewTimer(s.soon())
	defer timer.Stop()
	select {
	case <-a.done:
		return true
	case <-r.wake:
	case <-timer.C:
	}
	return false
}

// A stream is the body of an answer that goes on while its action does.
type stream struct {
	a       *action
	r       *reader
	conn    net.Conn
	contact *contact
}

var (
	_ fasthttp.BodyWriterTo = (*stream)(nil)
	_ io.Closer             = (*stream)(nil)
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, chunk+4*wire.FrameHeader); return &b }}

// WriteTo writes frames to w, each call of which goes to the client at once, until the action is done or the client gone.
func (s *stream) WriteTo(w io.Writer) (written int64, err error) {
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	for last := false; !last; {
		b := s.r.take((*p)[:0], chunk)
		if len(b) == 0 {
			select {
			case <-s.a.done:
				if b = s.r.take(b, chunk); len(b) == 0 {
					b, last = s.r.last(), true
				}
			case <-s.r.wake:
				continue
			case <-beat.C:
				b = wire.AppendFrame(b, s.a.heartbeat())
			}
		}
		n, err := w.Write(b)
		if written += int64(n); err != nil {
			return written, err // the client has gone; the action goes on
		}
		beat.Reset(heartbeat)
	}
	return written, nil
}

// heartbeat is a sign of life that says whether the action's turn has come.
func (a *action) heartbeat() wire.Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return wire.Frame{Type: wire.FrameHeartbeat}
	}
	return wire.Frame{Type: wire.FrameHeartbeat, Payload: []byte(wire.HeartbeatWaiting)}
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (s *stream) SupportsBodyWriteTo() bool { return true }

// Read is never called where WriteTo can be; fasthttp asks for it by type.
func (s *stream) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close implements io.Closer; fasthttp calls it when the answer has ended in whatever way.
func (s *stream) Close() error {
	s.r.leave()
	s.contact.release(s.conn)
	return nil
}
