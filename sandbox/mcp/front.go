package mcp

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
)

// protocols are those that the Hub's end speaks: they have sessions, on which it tells of changes.
var protocols = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

const (
	maxCalls         = 256  // requests of clients under way at a time
	maxSubscriptions = 1024 // resources of one server
)

// serverLocked is the SDK's server that clients talk to, made when first needed.
func (h *Hub) serverLocked() *sdk.Server {
	if h.server != nil {
		return h.server
	}
	h.server = sdk.NewServer(&sdk.Implementation{Name: "sandtree", Version: h.config.Version}, &sdk.ServerOptions{
		SupportedProtocolVersions: protocols,
		Capabilities:              abilities(),
		CompletionHandler:         h.complete,
		SubscribeHandler:          h.subscribe,
		UnsubscribeHandler:        func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
	})
	h.server.AddReceivingMiddleware(h.guarded)
	turns := make(chan struct{}, maxCalls)
	h.server.AddReceivingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
			select {
			case turns <- struct{}{}:
				defer func() { <-turns }()
			default:
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("%d requests are under way: try again when some are done", maxCalls)}
			}
			return h.receive(ctx, method, r, next)
		}
	})
	return h.server
}

// guarded turns a panic over what a peer has sent into an error: the SDK does not expect everything that can be sent.
func (h *Hub) guarded(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, r sdk.Request) (res sdk.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				res, err = nil, h.nonsense(p)
			}
		}()
		return next(ctx, method, r)
	}
}

// guardedClient is guarded for a Hub's end at a server, and keeps from it notifications without the parameters that they
// must have: some of its handlers panic over those and keep a lock.
func (h *Hub) guardedClient(next sdk.MethodHandler) sdk.MethodHandler {
	next = h.guarded(next)
	return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
		switch method {
		case "sampling/createMessage", "elicitation/create", "roots/list":
			return nil, notRelayed(method)
		}
		if p := reflect.ValueOf(r.GetParams()); (!p.IsValid() || p.Kind() == reflect.Pointer && p.IsNil()) &&
			method != "ping" && !strings.HasSuffix(method, "/list_changed") {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: method + " without parameters"}
		}
		return next(ctx, method, r)
	}
}

// notRelayed is the answer to a server that asks its client for something: there may be several, or none but an agent's
// action, and nothing says for whom the server works when it asks. Its code is not that of a method which is not found, for
// which the SDK has a text of its own.
func notRelayed(what string) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: what + " is not supported here: the servers of a sandbox are gathered " +
		"for any number of clients, and what a server asks is relayed to none; do without, or have it as an argument of the tool"}
}

// unasking has an answer that is a question, as the newest protocol has them, end as a request would.
func unasking(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
		res, err := next(ctx, method, r)
		if q, ok := res.(interface{ NeedsInput() bool }); ok && err == nil && q.NeedsInput() {
			return nil, notRelayed("what the server asks of its client")
		}
		return res, err
	}
}

// nonsense is the error for what made the SDK panic.
func (h *Hub) nonsense(panicked any) error {
	h.log.Warn("a message of a tool server or its client makes no sense", "panic", panicked, "stack", string(debug.Stack()))
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("the message makes no sense: %v", panicked)}
}

// receive starts the servers for those requests whose answers depend on all of them.
func (h *Hub) receive(ctx context.Context, method string, r sdk.Request, next sdk.MethodHandler) (sdk.Result, error) {
	switch p := r.GetParams().(type) {
	case *sdk.ListToolsParams, *sdk.ListPromptsParams, *sdk.ListResourcesParams, *sdk.ListResourceTemplatesParams, *sdk.CompleteParams,
		*sdk.SubscribeParams:
		h.gather(ctx)
	case *sdk.CallToolParamsRaw:
		if _, ok := h.find(p.Name, toolOrigins); !ok {
			h.gather(ctx)
		}
		if _, ok := h.find(p.Name, toolOrigins); !ok {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: h.unknownTool(p.Name)}
		}
	case *sdk.GetPromptParams:
		if _, ok := h.find(p.Name, promptOrigins); !ok {
			h.gather(ctx)
		}
	case *sdk.ReadResourceParams:
		if _, ok := h.find(p.URI, resourceOrigins); !ok {
			h.gather(ctx)
		}
		if rr, ok := r.(*sdk.ReadResourceRequest); ok {
			return result(h.readResource(ctx, rr))
		}
	}
	res, err := next(ctx, method, r)
	if err == nil {
		h.logs.asked(ctx, h, r.GetParams())
	}
	return res, err
}

// result keeps a nil pointer from becoming an interface that is not nil.
func result[R interface {
	*T
	sdk.Result
}, T any](r R, err error) (sdk.Result, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// unknownTool says what there is instead, and what may be missing because its server is away.
func (h *Hub) unknownTool(name string) string {
	text := fmt.Sprintf("Unknown tool: %.100s.", name)
	if names := h.toolNames(); names != "" {
		text += " There are: " + names + "."
	} else {
		text += " There are none."
	}
	for _, u := range h.upstreams() {
		if err := u.away(); err != nil {
			text += " The " + textOf(err) + "."
		}
	}
	return text
}

// clientOptions are the Hub's ears at a server. It claims no abilities of its own: what a server would ask of them
// (a model's words, a person's answer) is at a client, and which one a program does not say.
func (h *Hub) clientOptions(u *upstream) *sdk.ClientOptions {
	stale := func() { wake(u.stale) }
	o := &sdk.ClientOptions{
		Capabilities:               &sdk.ClientCapabilities{},
		MultiRoundTrip:             &sdk.MultiRoundTripOptions{Disabled: true}, // see unasking
		ToolListChangedHandler:     func(context.Context, *sdk.ToolListChangedRequest) { stale() },
		PromptListChangedHandler:   func(context.Context, *sdk.PromptListChangedRequest) { stale() },
		ResourceListChangedHandler: func(context.Context, *sdk.ResourceListChangedRequest) { stale() },
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) {
			u.pass(func() { h.calls.tell(r.Params) })
		},
		ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) {
			u.pass(func() { _ = h.front().ResourceUpdated(u.life, r.Params) })
		},
	}
	h.hear(u, o)
	return o
}

func (h *Hub) front() *sdk.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.serverLocked()
}

// restore tells a server that has just come up what the one before it knew: the level of messages, and the resources
// that somebody wants to hear of.
func (h *Hub) restore(ctx context.Context, u *upstream, s *sdk.ClientSession) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	h.logs.restore(ctx, u, s)
	u.mu.Lock()
	uris := slices.Clone(u.subscribed)
	u.mu.Unlock()
	for _, uri := range uris {
		_ = s.Subscribe(ctx, &sdk.SubscribeParams{URI: uri})
	}
}

// note keeps in mind that somebody wants to hear of a resource. Code: Exhausted.
func (u *upstream) note(uri string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if slices.Contains(u.subscribed, uri) {
		return nil
	}
	if len(u.subscribed) >= maxSubscriptions {
		return u.fail(sandbox.Exhausted, errors.New("has too many subscriptions: do without more"))
	}
	u.subscribed = append(u.subscribed, uri)
	return nil
}

// running is the session, nil while there is none.
func (u *upstream) running() *sdk.ClientSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session
}

// away says why the server does not run; nil if it does.
func (u *upstream) away() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.session != nil {
		return nil
	}
	return u.awayLocked()
}
