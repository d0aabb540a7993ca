package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// fileRoutes are those of files.
func (s *Server) fileRoutes() routes {
	return routes{
		{path: wire.PathFiles, methods: map[string]func(asked){"GET": s.getFile, "HEAD": s.getFile, "PUT": s.putFile, "PATCH": s.putFile, "DELETE": s.deleteFile}},
		{path: wire.PathTree, methods: map[string]func(asked){"GET": s.getTree, "PUT": s.putTree}},
		{path: wire.PathList, methods: map[string]func(asked){"GET": s.list}},
		{path: wire.PathStat, methods: map[string]func(asked){"GET": s.stat}},
		{path: wire.PathMove, methods: map[string]func(asked){"POST": s.move}},
		{path: wire.PathRemove, methods: map[string]func(asked){"POST": s.remove}},
		{path: wire.PathMkdir, methods: map[string]func(asked){"POST": s.makeDir}},
		{path: wire.PathChmod, methods: map[string]func(asked){"POST": s.chmod}},
		{path: wire.PathGlob, methods: map[string]func(asked){"POST": s.glob}},
		{path: wire.PathGrep, methods: map[string]func(asked){"POST": s.grep}},
		{path: wire.PathWatch, methods: map[string]func(asked){"GET": s.watch}},
	}
}

// pathOf reads ?path=; "" is the working directory.
func pathOf(ctx *fasthttp.RequestCtx) string { return string(ctx.QueryArgs().Peek("path")) }

// getFile answers GET and HEAD with a file or a part of it. The kernel copies from a file to a TCP connection; to others
// goes what a buffer of ours holds, which is larger than the library's.
func (s *Server) getFile(a asked) {
	ctx := a.RequestCtx
	f, info, err := s.files.Get(pathOf(ctx))
	if err != nil {
		fail(ctx, err)
		return
	}
	part, err := answerFor(ctx, f, info)
	if err != nil || part.n == 0 {
		f.Close()
	}
	if err != nil {
		fail(ctx, err)
		if sandbox.CodeOf(err) == sandbox.Conflict {
			ctx.SetStatusCode(fasthttp.StatusPreconditionFailed)
		}
		return
	}
	switch _, tcp := ctx.Conn().(*net.TCPConn); {
	case part.n == 0:
		if ctx.IsHead() {
			ctx.Response.SkipBody = true
		}
	case tcp:
		ctx.SetBodyStream(f, int(part.n)) // closes it
	default:
		ctx.SetBodyStream(&filePiece{f, part.n}, int(part.n))
	}
}

// answerFor sets the head of an answer to a request for a file, and says what of it is to follow, to which f is moved.
func answerFor(ctx *fasthttp.RequestCtx, f *os.File, info fs.FileInfo) (part span, err error) {
	etag, size, c := files.ETag(info), info.Size(), conditionsOf(ctx)
	h := &ctx.Response.Header
	if c.match != "" && !tagged(c.match, etag, true) {
		return span{}, changedMeanwhile(etag)
	}
	want, err := wantedDigest(ctx)
	if err != nil {
		return span{}, err
	}
	h.Set("ETag", etag)
	h.Set("Last-Modified", info.ModTime().UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	if c.fresh(etag) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return span{}, nil
	}
	ctx.SetContentType("application/octet-stream")
	if want != "" {
		sum, err := reprDigest(want, f, size)
		if err != nil {
			return span{}, refused(sandbox.Internal, "files", fmt.Sprintf("the file cannot be read: %s", err))
		}
		h.Set(wire.HeaderReprDigest, sum)
	}
	part, how := span{0, size}, wholeFile
	if c.ranges == "" || tagged(c.ranges, etag, true) {
		part, how = parseRange(string(ctx.Request.Header.Peek("Range")), size)
	}
	switch how {
	case unsatisfiable:
		ctx.SetStatusCode(fasthttp.StatusRequestedRangeNotSatisfiable)
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return span{}, nil
	case partOfFile:
		ctx.SetStatusCode(fasthttp.StatusPartialContent)
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.n-1, size))
	}
	if _, err := f.Seek(part.start, io.SeekStart); err != nil {
		return span{}, refused(sandbox.Internal, "files", fmt.Sprintf("the file cannot be read: %s", err))
	}
	return part, nil
}

// A filePiece is the body of an answer: n bytes of a file from where it stands.
type filePiece struct {
	*os.File
	n int64
}

var _ fasthttp.BodyWriterTo = (*filePiece)(nil)

// WriteTo implements fasthttp.BodyWriterTo.
func (p *filePiece) WriteTo(w io.Writer) (int64, error) {
	return files.Stream(w, io.LimitReader(p.File, p.n))
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (p *filePiece) SupportsBodyWriteTo() bool { return true }

// putFile makes or replaces a file; PATCH, and PUT with a Content-Range, write into it.
func (s *Server) putFile(a asked) {
	ctx := a.RequestCtx
	p, err := writingOf(ctx)
	if err != nil {
		fail(ctx, err)
		return
	}
	body := streamedBody(ctx)
	if p.digest != nil {
		body = verified{body, p.digest}
	}
	body = fenced{s, a.epoch, body}
	c, unmatched := conditionsOf(ctx), false
	if c.match != "" || c.noneMatch != "" {
		p.Matches = func(etag string) bool { unmatched = !c.allow(etag); return !unmatched }
	}
	var etag string
	if p.inPlace {
		etag, err = s.files.WriteAt(pathOf(ctx), body, p.at, p.PutOptions)
	} else {
		etag, err = s.files.Put(pathOf(ctx), body, p.PutOptions)
	}
	s.uploaded(ctx, err)
	switch {
	case unmatched:
		ctx.SetStatusCode(fasthttp.StatusPreconditionFailed)
	case err == nil:
		ctx.Response.Header.Set("ETag", etag)
		if p.digest != nil {
			ctx.Response.Header.Set(wire.HeaderReprDigest, p.digest.String())
		}
	}
}

// A writing is what a request to write a file asks for, besides its path and body.
type writing struct {
	files.PutOptions
	inPlace bool
	at      int64       // in place: where
	digest  *bodyDigest // else: what the body is to have; nil if nothing is said of that
}

func writingOf(ctx *fasthttp.RequestCtx) (w writing, err error) {
	if w.Mode, err = modeOf(ctx); err != nil {
		return w, err
	}
	if w.digest, err = digestOf(ctx); err != nil {
		return w, err
	}
	if v := ctx.Request.Header.Peek("Content-Range"); len(v) > 0 {
		part, ok := parseContentRange(string(v))
		if n := ctx.Request.Header.ContentLength(); !ok || n >= 0 && int64(n) != part.n {
			return w, refused(sandbox.Invalid, "files", fmt.Sprintf("Content-Range %.60q is none that fits the body: send \"bytes FIRST-LAST/*\"", v))
		}
		w.at, w.inPlace = part.start, true
	} else if ctx.IsPatch() {
		w.at, w.inPlace = files.Append, true
		if ctx.QueryArgs().Has("offset") {
			n, err := offsetOf(ctx)
			if err != nil {
				return w, err
			}
			w.at = int64(n)
		}
	}
	if w.inPlace && w.digest != nil && w.digest.sum != nil {
		return w, refused(sandbox.Invalid, "files", "what is written in place cannot be taken back: send it without a digest, and ask for one afterwards")
	}
	return w, nil
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
