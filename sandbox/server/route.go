package server

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

const (
	// idle is how long a connection is kept for a next request. OpenHands clients keep theirs for 5 s and run a command a
	// second time if the server was quicker to close it.
	idle = 5 * time.Minute
	// headTime is how long a client may take over the head of a request, bodyTime over the whole: a long file over a
	// slow line.
	headTime = 2 * time.Minute
	bodyTime = 24 * time.Hour

	maxConns = 4096
)

func (s *Server) newHTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:       s.handle,
		ErrorHandler:  malformed,
		ExpectHandler: s.expect,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: bodyTime}
		},
		ConnState: s.conns.note,
		Logger:    logger{s.log},

		ReadTimeout: headTime, IdleTimeout: idle, Concurrency: maxConns,
		ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
		StreamRequestBody: true, DisablePreParseMultipartForm: true,
		NoDefaultServerHeader: true, NoDefaultDate: true, SecureErrorLogMessage: true,
	}
}

// logger is the library's: what it reports is about connections.
type logger struct{ *slog.Logger }

func (l logger) Printf(format string, args ...any) {
	l.Debug("http", "msg", fmt.Sprintf(format, args...))
}

// malformed answers what is not HTTP.
func malformed(ctx *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	if small := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &small) {
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	}
	detail(ctx, status, fasthttp.StatusMessage(status))
}

// expect decides, for a client that asks first, whether the body may come.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	if !public(ctx.Path()) && !s.authentic(ctx) {
		return fasthttp.StatusForbidden
	}
	if !upload(ctx) && int64(ctx.Request.Header.ContentLength()) > s.config.MaxBody {
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}

// upload says whether the request is one whose body is streamed.
func upload(ctx *fasthttp.RequestCtx) bool {
	switch string(ctx.Path()) {
	case "/upload_file", wire.PathFiles, wire.PathTree:
		return true
	}
	return isPort(ctx.Path())
}

func public(path []byte) bool { return string(path) == "/alive" || string(path) == "/server_info" }

// authentic says whether the request brings the key. Where there is none, a page that a browser of the sandbox shows is to
// command nothing all the same: what it sends bears its origin, or the name of its own that leads here.
func (s *Server) authentic(ctx *fasthttp.RequestCtx) bool {
	if len(s.key) == 0 {
		return s.byOwnName(ctx) && (mcp.LocalPage(string(ctx.Request.Header.Peek("Origin")), string(ctx.Host())) ||
			isPort(ctx.Path()) && sameOrigin(&ctx.Request.Header)) // a program's own page
	}
	return subtle.ConstantTimeCompare(ctx.Request.Header.Peek(wire.HeaderKey), s.key) == 1
}

var nativePrefix = []byte("/v1/")

// handle answers one request. A panic is an answer for its client and a line in the log, not the end of the server.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	path := ctx.Path()
	native := bytes.HasPrefix(path, nativePrefix)
	if native {
		tellVersions(ctx)
	}
	defer func() {
		if p := recover(); p != nil {
			t := begunBy(tracedBy(ctx))
			s.log.ErrorContext(t.in(s.life), "a request panicked", "path", string(path), "panic", p, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			if native {
				tellVersions(ctx)
				fail(ctx, refused(sandbox.Internal, "server", "a bug in the server, see its log"))
			} else {
				detail(ctx, fasthttp.StatusInternalServerError, unexpected)
			}
		}
	}()
	if !public(path) {
		if !s.authentic(ctx) {
			why := "Invalid API Key"
			switch {
			case len(s.key) > 0:
			case !s.byOwnName(ctx):
				why = fmt.Sprintf("%.100q may be anybody's name for this address: ask by the address, or start sandboxd with a key or --host NAME", ctx.Host())
			default:
				why = "A web page of elsewhere is answered only where a key is asked for: start sandboxd with one"
			}
			failIn(ctx, native, refused(sandbox.Denied, "server", why))
			return
		}
		if !native { // a native request may still be fenced, and then its sender does not count
			s.contact.note()
		}
	}
	if native {
		s.native(ctx, path)
	} else {
		s.openHands(ctx, path)
	}
}

// isReady says whether the server has become ready, and has not failed at that.
func (s *Server) isReady() bool {
	select {
	case <-s.ready:
		return s.failed == nil
	default:
		return false
	}
}

// native routes a request of the native form.
func (s *Server) native(ctx *fasthttp.RequestCtx, path []byte) {
	r, ok := s.routes.find(path)
	if ok && r.early {
		s.byMethod(r, asked{RequestCtx: ctx})
		return
	}
	if !s.isReady() {
		fail(ctx, refused(sandbox.Unavailable, "server", "not ready yet: ask again in a moment"))
		return
	}
	version, epoch, err := s.asker(ctx)
	if err != nil {
		fail(ctx, err)
		return
	}
	if !ok {
		fail(ctx, refused(sandbox.NotFound, "server", "no such route: GET /openapi.json lists them"))
		return
	}
	a := asked{ctx, string(path[len(r.path):]), epoch, version}
	if r.fences {
		r.do(a)
		return
	}
	if err := s.fence(epoch); err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note()
	s.byMethod(r, a)
}

func (s *Server) byMethod(r *route, a asked) {
	do := r.methods[string(a.Method())]
	if do == nil {
		wrongMethod(a.RequestCtx)
		return
	}
	do(a)
}

// asker reads what a native request says of itself: the version of the form, which must be one that we understand, and
// the epoch of its controller; 0 for what it does not say.
func (s *Server) asker(ctx *fasthttp.RequestCtx) (version int, epoch uint64, err error) {
	h := &ctx.Request.Header
	if version, err = versionOf(ctx); err != nil {
		return 0, 0, err
	}
	if v := h.Peek(wire.HeaderEpoch); len(v) > 0 {
		if epoch, err = strconv.ParseUint(string(v), 10, 64); err != nil {
			return 0, 0, refused(sandbox.Invalid, "server", fmt.Sprintf("%s: %.40q is no number", wire.HeaderEpoch, v))
		}
	}
	if !h.IsHTTP11() {
		return 0, 0, refused(sandbox.Unsupported, "server", "the native form needs HTTP/1.1")
	}
	return version, epoch, nil
}

func wrongMethod(ctx *fasthttp.RequestCtx) {
	fail(ctx, refused(sandbox.Invalid, "server", "no such method here: "+string(ctx.Method())))
	ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
}

// fail answers with an error in the native form.
func fail(ctx *fasthttp.RequestCtx, err error) {
	ctx.SetStatusCode(wire.HTTPStatus(sandbox.CodeOf(err)))
	ctx.SetContentType("application/json")
	ctx.SetBody(wire.AppendError(nil, err))
}

// lease renews a controller's lease, which is what every request does besides.
func (s *Server) lease(a asked) {
	ctx, epoch := a.RequestCtx, a.epoch
	if !ctx.IsPost() {
		wrongMethod(ctx)
		return
	}
	owner := string(ctx.Request.Header.Peek(wire.HeaderOwner))
	before := s.ledger.Epoch()
	if err := s.fence(epoch); err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note()
	if epoch > before {
		s.log.Info("a new controller holds the lease", "epoch", epoch, "owner", strings.ToValidUTF8(owner, "?"))
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
