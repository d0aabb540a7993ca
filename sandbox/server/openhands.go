package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// The texts of the original's answers.
const (
	unexpected   = "An unexpected error occurred. Please try again later."
	badParams    = "Invalid request parameters"
	internal     = "Internal server error: "
	noJupyter    = "JupyterRequirement not found. Unable to run IPython action."
	noBrowser    = "Browser functionality is not supported or disabled."
	unparsable   = "There was an error parsing the body"
	notAList     = "Request must be a list of MCP tools to sync"
	mcpUpdated   = "MCP server updated successfully"
	methodDetail = "Method Not Allowed"
	tooMany      = "too many actions wait for their turn: wait for some of them, then ask again"
)

// openHands routes a request of the OpenHands form.
func (s *Server) openHands(ctx *fasthttp.RequestCtx, path []byte) {
	if ofMCP(path) {
		s.openMCP(ctx)
		return
	}
	method, handler := fasthttp.MethodPost, (func(*fasthttp.RequestCtx))(nil)
	early := false // may be asked before the server is ready
	switch string(path) {
	case "/alive":
		method, handler, early = fasthttp.MethodGet, s.alive, true
	case "/server_info":
		method, handler, early = fasthttp.MethodGet, s.serverInfo, true
	case "/openapi.json":
		method, handler, early = fasthttp.MethodGet, s.openAPI, true
	case "/execute_action":
		handler = s.executeAction
	case "/list_files":
		handler = s.listFiles
	case "/upload_file":
		handler = s.uploadFile
	case "/download_files":
		method, handler = fasthttp.MethodGet, s.downloadFiles
	case "/vscode/connection_token":
		method, handler = fasthttp.MethodGet, s.vscodeToken
	case "/update_mcp_server":
		handler = s.updateMCP
	case "/docs", "/redoc":
		method, handler = fasthttp.MethodGet, s.docs
	}
	switch {
	case handler == nil:
		detail(ctx, fasthttp.StatusNotFound, "Not Found")
	case string(ctx.Method()) != method:
		ctx.Response.Header.Set("Allow", method)
		detail(ctx, fasthttp.StatusMethodNotAllowed, methodDetail)
	case !early && !s.isReady():
		detail(ctx, fasthttp.StatusServiceUnavailable, "not initialized")
	default:
		handler(ctx)
	}
}

// detail answers with an error in OpenHands' form.
func detail(ctx *fasthttp.RequestCtx, status int, text string) {
	answerJSON(ctx, status, struct {
		Detail string `json:"detail"`
	}{text})
}

// unprocessable answers a request whose parameters have the wrong form.
func unprocessable(ctx *fasthttp.RequestCtx, what string) {
	answerJSON(ctx, fasthttp.StatusUnprocessableEntity, struct {
		Detail string `json:"detail"`
		Errors string `json:"errors"`
	}{badParams, what})
}

// textOf is what of err goes into an answer of the original's form: its cause, without our words around it.
func textOf(err error) string {
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

func (s *Server) alive(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	if s.isReady() {
		ctx.SetBodyString(`{"status":"ok"}`)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	ctx.SetBodyString(`{"status":"not initialized"}`)
}

func (s *Server) executeAction(ctx *fasthttp.RequestCtx) {
	s.executed.Store(int64(time.Since(s.contact.began)))
	defer s.asking.Add(-1)
	if s.asking.Add(1) > maxAsking { // before their bodies are read
		detail(ctx, fasthttp.StatusTooManyRequests, tooMany)
		return
	}
	body, err := s.body(ctx)
	switch {
	case errors.Is(err, errTooLong):
		detail(ctx, fasthttp.StatusRequestEntityTooLarge, textOf(err))
		s.hangUp(ctx)
		return
	case err != nil || !utf8.Valid(body):
		detail(ctx, fasthttp.StatusBadRequest, unparsable)
		return
	}
	var request map[string]json.RawMessage
	if err := json.Unmarshal(body, &request); err != nil {
		unprocessable(ctx, fmt.Sprintf("[{'type': 'json_invalid', 'loc': ('body',), 'msg': 'JSON decode error: %s'}]", err))
		return
	}
	event := bytes.TrimLeft(request["action"], " \t\r\n")
	if len(event) == 0 || event[0] != '{' {
		unprocessable(ctx, "[{'type': 'dict_type', 'loc': ('body', 'action'), 'msg': 'Input should be a valid dictionary'}]")
		return
	}
	t := begunBy(tracedBy(ctx))
	o, err := s.execute(ctx.Conn(), event, &t)
	if spans := wire.SpansHeader(t.spans); spans != "" {
		ctx.Response.Header.Set(wire.HeaderSpans, spans)
	}
	switch {
	case sandbox.CodeOf(err) == sandbox.Exhausted && textOf(err) == textOf(errLaneFull): // clients of the original wait at 429, and give up at 500
		detail(ctx, fasthttp.StatusTooManyRequests, tooMany)
		return
	case err != nil:
		detail(ctx, fasthttp.StatusInternalServerError, internal+textOf(err))
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(wire.AppendObservation(nil, o))
}

// execute performs one event for a client that has no action id, and so no second chance.
func (s *Server) execute(conn net.Conn, event []byte, t *traced) (sandbox.Observation, error) {
	a, err := wire.ParseAction(event)
	if err != nil {
		return sandbox.Observation{}, err
	}
	if o, err, done := s.unsupported(a); done {
		return o, err
	}
	if !s.enter() {
		return sandbox.Observation{}, errStopping
	}
	defer s.working.Done()
	s.contact.hold(conn)
	defer s.contact.release(conn)
	place, err := s.lanes.join(laneOf(a), maxInLane)
	if err != nil {
		return sandbox.Observation{}, err
	}
	defer place.leave()
	if _, err := place.wait(s.life, nil); err != nil {
		return sandbox.Failed(sandbox.ErrorInterrupted, textStopping), nil
	}
	p := &performance{in: func(interrupter) {}}
	o, err := s.performed(t.in(s.life), a, p)
	s.tell(t, a, p.at, o, err)
	return plain(a, o, err)
}

// plain is what came of an action as the original says it.
func plain(a sandbox.Action, o sandbox.Observation, err error) (sandbox.Observation, error) {
	if args, ok := a.Args.(sandbox.RunArgs); ok && err != nil {
		if args.Hidden {
			return unstarted(args, textOf(err)), nil
		}
		return sandbox.Failed("", textOf(err)), nil
	}
	if args, ok := a.Args.(sandbox.IPythonArgs); ok {
		return plainCell(args, o, err), nil
	}
	if laneOf(a) == laneBrowser {
		return plainBrowse(o, err)
	}
	return o, err
}

// enter counts a request among the work that a stop waits for; false if the server is stopping.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.working.Add(1)
	}
	return !s.stopping
}

// unsupported gives the original's answer to what it does not perform, or what this server does not.
func (s *Server) unsupported(a sandbox.Action) (o sandbox.Observation, err error, done bool) {
	switch args := a.Args.(type) {
	case sandbox.IPythonArgs:
		if !s.config.has("jupyter") {
			return o, refused(sandbox.Unsupported, "run_ipython", noJupyter), true
		}
	case sandbox.BrowseArgs, sandbox.BrowseInteractiveArgs:
		if s.tools.browser == nil {
			return sandbox.Failed("", noBrowser), nil, true
		}
	case sandbox.EditArgs:
		if args.Impl != "oh_aci" {
			return o, &sandbox.Error{Code: sandbox.Invalid, Op: "edit", Err: errors.New("")}, true
		}
	case sandbox.MCPArgs, sandbox.OtherArgs:
		return o, refused(sandbox.Unsupported, string(a.Kind()), fmt.Sprintf("'ActionExecutor' object has no attribute '%s'", a.Kind())), true
	}
	if err := unperformable(a); err != nil {
		if args, ok := a.Args.(sandbox.RunArgs); ok {
			return unstarted(args, "ERROR: "+textOf(err)), nil, true
		}
		return o, err, true
	}
	return o, nil, false
}
