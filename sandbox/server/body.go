package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// tooLong is a body beyond Config.MaxBody.
var errTooLong = errors.New("the request is too long: send less, or put it into a file")

// body reads the whole body of a request, into memory only as it comes and never more than Config.MaxBody.
// Code: Invalid (too long, or cut short).
func (s *Server) body(ctx *fasthttp.RequestCtx) ([]byte, error) {
	invalid := func(err error) ([]byte, error) {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "server", Err: err}
	}
	limit := s.config.MaxBody
	n := int64(ctx.Request.Header.ContentLength()) // negative: in chunks, or none
	if n > limit {
		return invalid(fmt.Errorf("%w: %d bytes, over %d", errTooLong, n, limit))
	}
	r := ctx.RequestBodyStream()
	if r == nil {
		return ctx.Request.Body(), nil
	}
	if n < 0 {
		n = limit + 1 // at most, and then it is too long
		r = io.LimitReader(r, n)
	} else {
		r = &exactly{r, n}
	}
	b, err := grow(r, n)
	if err != nil {
		return invalid(fmt.Errorf("read the body: %w", err))
	}
	if int64(len(b)) > limit {
		return invalid(fmt.Errorf("%w: over %d bytes", errTooLong, limit))
	}
	return b, nil
}

// firstPiece is how much of a body is made room for before any of it has come: what nearly all bodies have.
const firstPiece = 64 << 10

// grow reads to the end of r, of which most bytes are expected. Room is made for twice of what has come, not for what was
// announced: that costs whoever announces nothing.
func grow(r io.Reader, most int64) ([]byte, error) {
	b := make([]byte, 0, min(most, firstPiece)+1) // the one more finds the end without growing
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			b = slices.Grow(b, int(min(int64(cap(b)), most-int64(len(b)))+1))
		}
	}
}

// failBody answers for an error of body in the native form.
func (s *Server) failBody(ctx *fasthttp.RequestCtx, err error) {
	fail(ctx, err)
	if errors.Is(err, errTooLong) {
		s.hangUp(ctx)
	}
}

// drainTime is how long a client whose request is too long may go on sending before its connection is cut.
const drainTime = 2 * time.Second

// hangUp answers that the request is too long, with the body that ctx has already, and closes the connection. Closing at
// once would lose the answer: the client is still sending, and gets a broken pipe instead.
func (s *Server) hangUp(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(fasthttp.StatusRequestEntityTooLarge)
	ctx.SetConnectionClose()
	answer := []byte(ctx.Response.String())
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		defer s.conns.gone(underlying(conn))
		_ = conn.SetDeadline(time.Now().Add(drainTime))
		if _, err := conn.Write(answer); err != nil {
			return
		}
		if c, ok := underlying(conn).(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
	})
}

// streamedBody is the body of an upload, of any length. One that is cut short is an error, not an end.
func streamedBody(ctx *fasthttp.RequestCtx) io.Reader {
	r := ctx.RequestBodyStream()
	if r == nil {
		return eof{}
	}
	if n := ctx.Request.Header.ContentLength(); n >= 0 {
		return &exactly{r, int64(n)}
	}
	return r // chunks end with an empty one, and the library sees to that
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// exactly reads n bytes.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.n -= int64(n); err == io.EOF && e.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
