package server

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// exec runs a command outside of any session and answers with what it writes and how it ends.
func (s *Server) exec(a asked) {
	p, _, last, err := s.command(a, false)
	if err != nil {
		s.failBody(a.RequestCtx, err)
		return
	}
	s.answerFrames(a.RequestCtx, p, last, tailing{follow: true})
}

// command begins the process that the body asks for. One that is named can be asked for again.
func (s *Server) command(a asked, named bool) (p *process, fresh bool, last []byte, err error) {
	body, err := s.body(a.RequestCtx)
	if err == nil {
		err = validText(body)
	}
	var c wire.Command
	if err == nil {
		c, err = parseCommand(body)
	}
	if err != nil {
		return nil, false, nil, err
	}
	if a.rest != "" { // PUT with the id in the path
		if c.ID != "" && c.ID != a.rest {
			return nil, false, nil, refused(sandbox.Invalid, "process", "the id in the body is another than that in the path: leave one out")
		}
		if c.ID = a.rest; sandbox.CheckActionID(c.ID) != nil {
			return nil, false, nil, sandbox.CheckActionID(c.ID)
		}
	}
	if named && c.ID == "" { // before it has any effect
		return nil, false, nil, refused(sandbox.Invalid, "process", "a process in the background needs an id: make one, or use "+wire.PathExec)
	}
	return s.begin(c, body, a.epoch)
}

// tailing says what of a process' output is asked for; by stream.
type tailing struct {
	at     [2]uint64 // offset of the first byte
	deaf   [2]bool   // to these streams
	follow bool      // until the end
}

// answerFrames answers with frames of what the process has written from the offsets on and, if the answer is to follow it,
// writes until it has ended: as one body if that is soon, else as a stream. last is all there is if p is nil.
func (s *Server) answerFrames(ctx *fasthttp.RequestCtx, p *process, last []byte, t tailing) {
	ctx.SetContentType(framesType)
	if p == nil {
		ctx.Response.SetBodyRaw(last)
		return
	}
	f := p.out.follow(t.at, t.deaf)
	timer := time.NewTimer(soon)
	defer timer.Stop()
	over := p.over()
	if !over && t.follow {
		select {
		case <-p.done:
			over = true
		case <-f.wake:
		case <-timer.C:
		}
	}
	if over || !t.follow {
		defer f.leave()
		body := f.take(nil, 2*p.out.streams[0].max)
		if over {
			body = append(body, p.frame...)
		}
		ctx.Response.SetBodyRaw(body)
		return
	}
	f.stream()
	conn := ctx.Conn()
	s.contact.hold(conn)
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStream(&processStream{p: p, f: f, conn: conn, contact: s.contact}, -1)
}

// A processStream is the body of an answer that goes on while a process does.
type processStream struct {
	p       *process
	f       *follower
	conn    net.Conn
	contact *contact
}

var (
	_ fasthttp.BodyWriterTo = (*processStream)(nil)
	_ io.Closer             = (*processStream)(nil)
)

// WriteTo writes frames to w, each call of which goes to the client at once, until the process has ended or the client gone.
func (s *processStream) WriteTo(w io.Writer) (written int64, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	for last := false; !last; {
		b := s.f.take((*buf)[:0], chunk)
		if len(b) == 0 {
			select {
			case <-s.p.done:
				if b = s.f.take(b, chunk); len(b) == 0 {
					b, last = s.p.frame, true
				}
			case <-s.f.wake:
				continue
			case <-beat.C:
				b = wire.AppendFrame(b, wire.Frame{Type: wire.FrameHeartbeat})
			}
		}
		n, err := w.Write(b)
		if written += int64(n); err != nil {
			return written, err // the client has gone
		}
		beat.Reset(heartbeat)
	}
	return written, nil
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (s *processStream) SupportsBodyWriteTo() bool { return true }

// Read is never called where WriteTo can be; fasthttp asks for it by type.
func (s *processStream) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close implements io.Closer; fasthttp calls it when the answer has ended in whatever way. A process that has no id ends
// with its client: nobody else could ask for it.
func (s *processStream) Close() error {
	s.f.leave()
	s.contact.release(s.conn)
	if s.p.entry == nil && !s.p.over() {
		return s.p.Close()
	}
	return nil
}
