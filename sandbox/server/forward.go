package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

const (
	maxForwards  = 1024             // at a time: each takes two descriptors and some 100 KB
	dialTime     = 30 * time.Second // for dial
	answerHead   = 32 << 10         // bytes that the head of an answer may have
	maxInterim   = 16               // answers of 1xx before the real one
	forwardChunk = 32 << 10         // bytes that are read at a time
)

// forward gives the connection of ctx over to whoever answers at the other end of dial: the request goes there with its
// body, of any length and in chunks too, and the answer comes back as it is made, so that streams stream; after a 101
// bytes go both ways until one side ends, which ends the other. A client that hangs up ends the exchange. An exchange
// takes the same memory however long it is.
//
// rewrite, unless nil, may change the head of the request; what concerns a single connection (RFC 9110, section 7.6.1),
// our own headers and the server's key are gone by then. Such headers are taken from the answer too, so that an answer
// with Sandtree-Version is always the server's and never the program's.
//
// Each request is the last of its connection: what follows the answer of a program that says one length and sends another
// can then not be taken for the answer to a next request, nor the rest of a body for that request.
//
// dial's context ends with the server and after dialTime; its error is answered in the form that the path belongs to.
func (s *Server) forward(ctx *fasthttp.RequestCtx, dial func(context.Context) (net.Conn, error), rewrite func(*fasthttp.RequestHeader)) {
	s.forwardBack(ctx, dial, rewrite, nil)
}

// forwardBack is forward with back, which unless nil may change the head of the answer.
func (s *Server) forwardBack(ctx *fasthttp.RequestCtx, dial func(context.Context) (net.Conn, error),
	rewrite func(*fasthttp.RequestHeader), back func(*fasthttp.ResponseHeader)) {
	f := &forwarding{back: back, native: isNative(ctx.Path()), http11: ctx.Request.Header.IsHTTP11(),
		isHead: ctx.IsHead(), decided: make(chan struct{})}
	f.prepare(ctx, string(s.key), rewrite)
	s.hand(ctx, dial, f.run)
}

// hand dials and gives the connection of ctx, and the other, over to run, after which both are closed. The other one is
// closed when the server stops too.
func (s *Server) hand(ctx *fasthttp.RequestCtx, dial func(context.Context) (net.Conn, error), run func(conn, far net.Conn) error) {
	if s.forwards.Add(1) > maxForwards {
		s.forwards.Add(-1)
		failIn(ctx, isNative(ctx.Path()), refused(sandbox.Exhausted, "forward", "too many connections are being forwarded: close some, or try again later"))
		return
	}
	bounded, cancel := context.WithTimeout(s.life, dialTime)
	far, err := dial(bounded)
	cancel()
	if err != nil {
		s.forwards.Add(-1)
		failIn(ctx, isNative(ctx.Path()), err)
		return
	}
	uncut := context.AfterFunc(s.life, func() { far.Close() })
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		defer s.conns.gone(underlying(conn))
		defer s.forwards.Add(-1)
		defer uncut()
		s.contact.hold(underlying(conn))
		defer s.contact.release(underlying(conn))
		defer underlying(conn).Close() // of a hijacked connection itself, Close does nothing
		defer far.Close()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a forwarded request panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		if err := run(conn, far); err != nil {
			s.log.Debug("a forwarded request", "err", err)
		}
	})
}

// A forwarding is one exchange.
type forwarding struct {
	back func(*fasthttp.ResponseHeader)

	native  bool // the form of the path
	http11  bool // the client speaks HTTP/1.1
	isHead  bool // the method
	upgrade bool // the client asks for another protocol
	chunked bool // the body goes in chunks
	head    []byte
	body    io.Reader // nil if there is none

	far      net.Conn
	decided  chan struct{} // closed when switched is set
	switched bool          // the other protocol is spoken
}

// run carries the exchange to its end.
func (f *forwarding) run(conn, far net.Conn) error {
	f.far = far
	var asking sync.WaitGroup
	defer asking.Wait()
	defer underlying(conn).Close()
	defer far.Close()
	asking.Go(func() { f.ask(conn) })
	err := f.answer(conn)
	f.decide(false)
	far.Close() // before the client is waited for: what it is still sending has no reader
	if half, ok := underlying(conn).(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		// What has come and is not read when a connection is closed takes the end of the answer with it.
		_ = conn.SetReadDeadline(time.Now().Add(drainTime))
		asking.Wait()
	}
	return err
}

func (f *forwarding) decide(switched bool) {
	select {
	case <-f.decided:
	default:
		f.switched = switched
		close(f.decided)
	}
}

// errFar is a failure of the other side.
var errFar = errors.New("the program has hung up")

// ask sends what the client has to say. When the client has gone it ends the exchange; what the other side does not want
// is read all the same, as it may have said why, which the client is to read.
func (f *forwarding) ask(conn net.Conn) {
	buf := make([]byte, forwardChunk)
	if errors.Is(f.say(conn, buf), errFar) {
		_, _ = io.CopyBuffer(io.Discard, onlyReader{conn}, buf)
	}
	f.far.Close()
	underlying(conn).Close()
}

// say sends the request and then what follows in another protocol, until one side ends.
func (f *forwarding) say(conn net.Conn, buf []byte) error {
	if _, err := f.far.Write(f.head); err != nil {
		return errFar
	}
	if f.body != nil {
		if err := relay(writer{f.far, errFar}, f.body, f.chunked, buf); err != nil {
			return err
		}
	}
	if f.upgrade { // only the end is expected before the answer
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if <-f.decided; f.switched {
			if _, err := f.far.Write(buf[:n]); err != nil {
				return errFar
			}
			return relay(writer{f.far, errFar}, conn, false, buf)
		}
	}
	_, err := io.CopyBuffer(io.Discard, onlyReader{conn}, buf)
	return err
}

// answer brings back the answer and what follows it in another protocol, until one side ends.
func (f *forwarding) answer(conn net.Conn) error {
	br := bufio.NewReaderSize(f.far, answerHead)
	var r fasthttp.Response
	r.StreamBody = true
	if err := f.hear(br, &r.Header); err != nil {
		return errors.Join(err, f.fail(conn, err))
	}
	status := r.StatusCode()
	switched := status == fasthttp.StatusSwitchingProtocols
	none := f.isHead || switched || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified // whatever its head says
	chunked := r.Header.ContentLength() == chunks && f.http11 && !none
	if !none {
		if err := r.ReadBody(br, 0); err != nil { // reads nothing yet, but goes by the head as it is
			return err
		}
	}
	if f.back != nil {
		f.back(&r.Header)
	}
	if _, err := conn.Write(appendAnswer(nil, &r.Header, chunked)); err != nil {
		return err
	}
	body := r.BodyStream()
	switch {
	case switched:
		f.decide(true)
		body = br
	case none:
		return nil
	}
	return relay(conn, body, chunked, make([]byte, forwardChunk))
}

// hear reads the head of the answer. Code: Lost.
func (f *forwarding) hear(br *bufio.Reader, h *fasthttp.ResponseHeader) error {
	lost := func(err error) error { return &sandbox.Error{Code: sandbox.Lost, Op: "forward", Err: err} }
	h.SetNoDefaultContentType(true)
	for range maxInterim {
		err := h.Read(br)
		status := h.StatusCode()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return lost(errors.New("the program closed the connection without an answer: see what it has printed"))
		case err != nil:
			return lost(fmt.Errorf("the program's answer is no HTTP: %w", err))
		case status == fasthttp.StatusSwitchingProtocols && !f.upgrade:
			return lost(errors.New("the program changed the protocol without being asked to"))
		case status == fasthttp.StatusSwitchingProtocols || status >= 200:
			return nil
		}
	}
	return lost(errors.New("the program did nothing but announce an answer"))
}

// fail answers with an error after the connection was given over.
func (f *forwarding) fail(conn net.Conn, err error) error {
	var ctx fasthttp.RequestCtx
	failIn(&ctx, f.native, err)
	ctx.SetConnectionClose()
	_, err = conn.Write([]byte(ctx.Response.String()))
	return err
}
