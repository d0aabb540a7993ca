package server

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// makeMCP makes the gathering of tool servers, none of which starts before it is used. Code: Invalid.
func (s *Server) makeMCP() (err error) {
	s.tools.mcp, err = mcp.New(mcp.Config{Child: s.childConfig, Env: s.programEnv, Dir: func() string { return s.config.Dir },
		Version: s.config.Version, Guarded: len(s.key) > 0, Log: s.log}, s.config.MCP)
	if err == nil {
		s.tools.closers = append(s.tools.closers, s.tools.mcp)
	}
	return err
}

func (s *Server) mcpRoutes() routes {
	configuring := map[string]func(asked){"GET": s.mcpServers, "PUT": s.putMCP}
	return routes{
		{path: wire.PathMCP, methods: map[string]func(asked){"GET": s.getMCP, "PUT": s.putMCP, "POST": s.toMCP, "DELETE": s.toMCP}},
		{path: wire.PathMCP + wire.SuffixServers, methods: configuring},
		{path: wire.PathMCP + wire.SuffixTools, methods: map[string]func(asked){"GET": s.mcpTools}},
	}
}

// ofMCP says whether a path of the OpenHands form leads to the tool servers: SSE at two places, as in the original, and
// streamable HTTP.
func ofMCP(path []byte) bool {
	switch string(bytes.TrimSuffix(path, []byte("/"))) {
	case "/sse", "/mcp/sse", "/messages", "/mcp/messages", "/mcp":
		return true
	}
	return false
}

// The original's answer to a request without the token, in the form of RFC 6750.
const (
	needsToken = `{"error": "invalid_token", "error_description": "Authentication required"}`
	tokenHint  = `Bearer error="invalid_token", error_description="Authentication required"`
)

// openMCP leads to the tool servers. Besides the key, which has been looked at, the original wants it as a token.
func (s *Server) openMCP(ctx *fasthttp.RequestCtx) {
	switch {
	case !s.isReady():
		detail(ctx, fasthttp.StatusServiceUnavailable, "not initialized")
	case !s.bearer(ctx):
		ctx.Response.Header.Set("WWW-Authenticate", tokenHint)
		ctx.SetStatusCode(fasthttp.StatusUnauthorized)
		ctx.SetContentType("application/json")
		ctx.SetBodyString(needsToken)
	default:
		s.leadToMCP(ctx)
	}
}

func (s *Server) bearer(ctx *fasthttp.RequestCtx) bool {
	if len(s.key) == 0 {
		return true
	}
	scheme, token, _ := strings.Cut(string(ctx.Request.Header.Peek("Authorization")), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(token), s.key) == 1
}

func (s *Server) leadToMCP(ctx *fasthttp.RequestCtx) {
	s.forward(ctx, s.tools.mcp.Dial, func(h *fasthttp.RequestHeader) { h.Del("Authorization") })
}

// toMCP leads a native request there.
func (s *Server) toMCP(a asked) { s.leadToMCP(a.RequestCtx) }

// getMCP opens the stream of a streamable session, or tells of the servers.
func (s *Server) getMCP(a asked) {
	if strings.Contains(string(a.Request.Header.Peek("Accept")), "text/event-stream") {
		s.toMCP(a)
		return
	}
	s.mcpServers(a)
}

func (s *Server) mcpServers(a asked) {
	list := []wire.MCPServer{}
	for _, m := range s.tools.mcp.Servers() {
		list = append(list, wire.MCPServer{Name: m.Name, Transport: m.Type, State: m.State, Since: m.Since, PID: m.PID, Tools: m.Tools,
			Prompts: m.Prompts, Resources: m.Resources, Restarts: m.Restarts, Next: m.Next, Error: m.Error})
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, list)
}

func (s *Server) mcpTools(a asked) {
	list := []wire.MCPTool{}
	for _, t := range s.tools.mcp.Tools(s.life) {
		list = append(list, wire.MCPTool{Name: t.Name, Server: t.Server, Description: t.Description, InputSchema: t.InputSchema})
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, list)
}

// putMCP replaces the configuration: a list of wire.MCPServerSpec, or the usual file of {"mcpServers": …}.
func (s *Server) putMCP(a asked) {
	body, err := s.body(a.RequestCtx)
	if err != nil {
		s.failBody(a.RequestCtx, err)
		return
	}
	servers, err := mcpConfig(body)
	if err == nil {
		err = s.fence(a.epoch) // the body may have taken long
	}
	if err == nil {
		err = s.tools.mcp.Replace(servers)
	}
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	s.mcpServers(a)
}

// mcpConfig reads a configuration in either form. Code: Invalid.
func mcpConfig(body []byte) ([]mcp.Server, error) {
	if body = bytes.TrimLeft(body, " \t\r\n"); len(body) == 0 || body[0] != '[' {
		return mcp.ParseConfig(body)
	}
	var specs []wire.MCPServerSpec
	if err := json.Unmarshal(body, &specs); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "mcp", Err: err}
	}
	servers := make([]mcp.Server, len(specs))
	for i, m := range specs {
		servers[i] = mcp.Server{Name: m.Name, Type: m.Transport, Command: m.Command, Args: m.Args, Env: m.Env, URL: m.URL, Headers: m.Headers}
	}
	return servers, nil // Replace checks them
}

// updateMCP replaces the configuration by what an OpenHands client sends: all of its programs each time.
func (s *Server) updateMCP(ctx *fasthttp.RequestCtx) {
	body, err := s.body(ctx)
	if errors.Is(err, errTooLong) {
		detail(ctx, fasthttp.StatusRequestEntityTooLarge, textOf(err))
		s.hangUp(ctx)
		return
	}
	if b := bytes.TrimLeft(body, " \t\r\n"); err == nil && len(b) > 0 && b[0] != '[' && json.Valid(b) {
		detail(ctx, fasthttp.StatusBadRequest, notAList)
		return
	}
	var servers []mcp.Server
	if err == nil {
		servers, err = mcp.ParseElements(body)
	}
	if err != nil {
		s.log.Warn("a configuration of tool servers is refused", "err", err)
		detail(ctx, fasthttp.StatusInternalServerError, unexpected)
		return
	}
	log := ""
	if err := s.tools.mcp.Replace(servers); err != nil {
		log = textOf(err)
	} else {
		log = s.tools.mcp.Check()
	}
	answerJSON(ctx, fasthttp.StatusOK, struct {
		Detail string `json:"detail"`
		Log    string `json:"router_error_log"`
	}{mcpUpdated, log})
}

// errInterrupted is why a call was given up that its asker has interrupted.
var errInterrupted = errors.New("the call was interrupted")

// A givenUp call ends with its context.
type givenUp struct{ cancel context.CancelCauseFunc }

// Interrupt implements interrupter.
func (g givenUp) Interrupt() error {
	g.cancel(errInterrupted)
	return nil
}

// callTool performs a call of a tool. Codes: Invalid, NotFound.
func (s *Server) callTool(ctx context.Context, args sandbox.MCPArgs, a sandbox.Action, in func(interrupter)) (sandbox.Observation, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in(givenUp{cancel})
	defer in(nil)
	bounded := ctx
	if a.Timeout != 0 {
		var done context.CancelFunc
		bounded, done = context.WithTimeout(ctx, a.Timeout)
		defer done()
	}
	result, err := s.tools.mcp.Call(bounded, args.Name, args.Arguments)
	if sandbox.CodeOf(err) == sandbox.Canceled {
		if !errors.Is(context.Cause(ctx), errInterrupted) {
			return sandbox.Failed("", "The server of the sandbox was stopped while the tool was at work."), nil
		}
		result, err = mcp.Failure(errInterrupted.Error()), nil
	}
	if err != nil {
		return sandbox.Observation{}, err
	}
	return sandbox.Observation{Content: string(result), Result: sandbox.MCPResult{Name: args.Name, Arguments: args.Arguments}}, nil
}
