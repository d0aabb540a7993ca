package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
)

// ask has a server do something, and tells how it ended if it takes the question with it. ctx bounds the whole.
func ask[R any](ctx context.Context, u *upstream, do func(context.Context, *sdk.ClientSession) (R, error)) (R, error) {
	var none R
	session, err := u.use(ctx)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.life, cancel)() // a server that is taken out of the configuration answers no more
	type answer struct {
		r   R
		err error
	}
	answered := make(chan answer, 1)
	u.hub.work.Go(func() { // ends with ctx, or when the server has read its message or has been given up: see takeTime
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = u.hub.nonsense(p)
			}
			answered <- a
		}()
		a.r, a.err = do(ctx, session)
	})
	select {
	case a := <-answered:
		if a.err == nil || rejected(a.err) || ctx.Err() != nil && u.life.Err() == nil {
			return a.r, a.err
		}
		if u.config.Type == Stdio && !errors.Is(a.err, sdk.ErrConnectionClosed) && !errors.Is(a.err, io.EOF) && !errors.Is(a.err, errLongLine) {
			return none, u.fail(sandbox.Internal, fmt.Errorf("gave an answer that makes no sense: %w", a.err))
		}
		return none, u.lost(session)
	case <-ctx.Done():
		if u.life.Err() != nil {
			return none, u.lost(session)
		}
		return none, ctx.Err()
	}
}

// rejected says whether err is the server's own answer.
func rejected(err error) bool {
	_, ok := errors.AsType[*jsonrpc.Error](err)
	return ok && !errors.Is(err, sdk.ErrConnectionClosed)
}

// asAnswer is err as a client of the Hub gets it: a server's own refusal as it came, anything else with a sentence.
func asAnswer(err error) error {
	if e, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Err != nil {
		return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: e.Err.Error()}
	}
	return err
}

// callTool passes a client's call on.
func (h *Hub) callTool(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	o, ok := h.find(r.Params.Name, toolOrigins)
	if !ok {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Unknown tool: " + r.Params.Name}
	}
	meta, done := h.calls.begin(ctx, r.Session, r.Params.Meta)
	defer done()
	result, err := call(ctx, o, r.Params.Arguments, meta)
	if err != nil {
		if _, away := errors.AsType[*sandbox.Error](err); away { // the model may read it, and wait or do without
			return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: textOf(err)}}}, nil
		}
		return nil, asAnswer(err)
	}
	return result, nil
}

// call calls a tool where it is.
func call(ctx context.Context, o origin, arguments json.RawMessage, meta sdk.Meta) (*sdk.CallToolResult, error) {
	p := &sdk.CallToolParams{Meta: meta, Name: o.name}
	if len(arguments) > 0 && string(arguments) != "null" {
		p.Arguments = arguments
	}
	return ask(ctx, o.up, func(ctx context.Context, s *sdk.ClientSession) (*sdk.CallToolResult, error) {
		return s.CallTool(ctx, p)
	})
}

func (h *Hub) getPrompt(ctx context.Context, r *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
	o, ok := h.find(r.Params.Name, promptOrigins)
	if !ok {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Unknown prompt: " + r.Params.Name}
	}
	meta, done := h.calls.begin(ctx, r.Session, r.Params.Meta)
	defer done()
	p := &sdk.GetPromptParams{Meta: meta, Name: o.name, Arguments: r.Params.Arguments}
	result, err := ask(ctx, o.up, func(ctx context.Context, s *sdk.ClientSession) (*sdk.GetPromptResult, error) {
		return s.GetPrompt(ctx, p)
	})
	if err != nil {
		return nil, asAnswer(err)
	}
	return result, nil
}

// readResource reads what is listed where it is, and asks every server that has resources for what is not: results may
// refer to resources that are in no list.
func (h *Hub) readResource(ctx context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	meta, done := h.calls.begin(ctx, r.Session, r.Params.Meta)
	defer done()
	failure := sdk.ResourceNotFoundError(r.Params.URI)
	for _, u := range h.readers(r.Params.URI) {
		p := &sdk.ReadResourceParams{Meta: maps.Clone(meta), URI: r.Params.URI}
		result, err := ask(ctx, u, func(ctx context.Context, s *sdk.ClientSession) (*sdk.ReadResourceResult, error) {
			return s.ReadResource(ctx, p)
		})
		if err == nil || ctx.Err() != nil {
			return result, err
		}
		failure = err
	}
	return nil, asAnswer(failure)
}

// readers are the servers that may have a resource.
func (h *Hub) readers(uri string) []*upstream {
	if o, ok := h.find(uri, resourceOrigins); ok {
		return []*upstream{o.up}
	}
	var some []*upstream
	for _, u := range h.upstreams() {
		if u.offered().reads {
			some = append(some, u)
		}
	}
	return some
}

// complete passes on what a client wants completed: an argument of a prompt, or of a template.
func (h *Hub) complete(ctx context.Context, r *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
	p := *r.Params
	ref := *p.Ref
	p.Ref = &ref
	o, ok := h.find(ref.Name, promptOrigins)
	if ref.Type == "ref/resource" {
		o, ok = h.find(ref.URI, templateOrigins)
		if !ok {
			o, ok = h.find(ref.URI, resourceOrigins)
		}
	} else {
		ref.Name = o.name
	}
	if !ok || !o.up.offered().completes {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("nothing completes %q", r.Params.Ref.Name+r.Params.Ref.URI)}
	}
	result, err := ask(ctx, o.up, func(ctx context.Context, s *sdk.ClientSession) (*sdk.CompleteResult, error) {
		return s.Complete(ctx, &p)
	})
	if err != nil {
		return nil, asAnswer(err)
	}
	return result, nil
}

// subscribe has a server tell of changes to a resource. Nobody takes that back: the SDK passes news on to those alone
// that have asked for them, and does not say when the last of them has gone.
func (h *Hub) subscribe(ctx context.Context, r *sdk.SubscribeRequest) error {
	for _, u := range h.readers(r.Params.URI) {
		if !u.offered().tells {
			continue
		}
		if err := u.note(r.Params.URI); err != nil {
			return asAnswer(err)
		}
		_, err := ask(ctx, u, func(ctx context.Context, s *sdk.ClientSession) (struct{}, error) {
			return struct{}{}, s.Subscribe(ctx, &sdk.SubscribeParams{URI: r.Params.URI})
		})
		return asAnswer(err)
	}
	return sdk.ResourceNotFoundError(r.Params.URI)
}

func textOf(err error) string {
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
