package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// pathOf reads ?path=; "" is the working directory.
func pathOf(ctx *fasthttp.RequestCtx) string { return string(ctx.QueryArgs().Peek("path")) }

func (s *Server) list(a asked) {
	ctx := a.RequestCtx
	names, err := s.files.List(pathOf(ctx))
	if err != nil {
		fail(ctx, err)
		return
	}
	if names == nil {
		names = []string{}
	}
	answerJSON(ctx, fasthttp.StatusOK, names)
}

func (s *Server) getFile(a asked) {
	ctx := a.RequestCtx
	f, size, err := s.files.Get(pathOf(ctx))
	if err != nil {
		fail(ctx, err)
		return
	}
	ctx.SetContentType("application/octet-stream")
	ctx.SetBodyStream(f, int(size)) // closes it; the kernel copies
}

func (s *Server) putFile(a asked) {
	ctx := a.RequestCtx
	var mode uint64
	if v := ctx.QueryArgs().Peek("mode"); len(v) > 0 {
		var err error
		if mode, err = strconv.ParseUint(string(v), 8, 9); err != nil {
			fail(ctx, refused(sandbox.Invalid, "files", fmt.Sprintf("mode %.20q is not three octal digits", v)))
			return
		}
	}
	s.uploaded(ctx, s.files.Put(pathOf(ctx), fenced{s, a.epoch, streamedBody(ctx)}, fs.FileMode(mode)))
}

func (s *Server) putTree(a asked) {
	ctx := a.RequestCtx
	s.uploaded(ctx, s.files.PutTree(pathOf(ctx), fenced{s, a.epoch, streamedBody(ctx)}))
}

// fenced is an upload that fails once a newer controller has taken the place of its sender, however long ago it began.
type fenced struct {
	s     *Server
	epoch uint64
	r     io.Reader
}

func (f fenced) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if over := f.s.fence(f.epoch); over != nil { // after the read, which may have waited
		return 0, over
	}
	return n, err
}

func (s *Server) uploaded(ctx *fasthttp.RequestCtx, err error) {
	if err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note() // it may have taken long
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// getTree looks at the directory before the answer begins, since then it is too late for an error: what happens later
// cuts the answer short.
func (s *Server) getTree(a asked) {
	ctx := a.RequestCtx
	path := pathOf(ctx)
	if _, err := s.files.List(path); err != nil {
		fail(ctx, err)
		return
	}
	ctx.SetContentType("application/x-tar")
	ctx.SetBodyStream(written(func(w io.Writer) error { return s.files.GetTree(path, w) }), -1)
}

// written is the body of an answer that a function writes.
type written func(io.Writer) error

var _ fasthttp.BodyWriterTo = written(nil)

// WriteTo collects what the function writes, since each write to w becomes one to the connection.
func (f written) WriteTo(w io.Writer) (int64, error) {
	c := &counter{w: w}
	b := bufio.NewWriterSize(c, chunk)
	err := f(b)
	if err == nil {
		err = b.Flush()
	}
	return c.n, err
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (f written) SupportsBodyWriteTo() bool { return true }

func (f written) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// answerJSON answers with v in compact JSON.
func answerJSON(ctx *fasthttp.RequestCtx, status int, v any) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // v is ours
	}
	ctx.Response.SetBodyRaw(bytes.TrimSuffix(b.Bytes(), []byte{'\n'}))
}
