package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
)

// Call calls a tool by the name that the Hub gives it, with arguments that are a JSON object, or nothing. ctx bounds it:
// when it ends, the server is told that nobody waits any more.
//
// The result is the JSON that OpenHands' clients make of one: {"_meta", "content", "structuredContent", "isError"}; or, if
// the server could not be asked, or refused, or did not answer before ctx's deadline, {"isError":true,"error","content":[]}.
// Codes of errors: Invalid (arguments), NotFound (no such tool), Canceled (ctx was ended, but not by its deadline).
func (h *Hub) Call(ctx context.Context, name string, arguments json.RawMessage) (json.RawMessage, error) {
	if len(arguments) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(arguments, &object); err != nil {
			return nil, invalid(fmt.Errorf("the arguments of %.60q are no JSON object: %w", name, err))
		}
	}
	o, ok := h.find(name, toolOrigins)
	if !ok {
		h.gather(ctx)
		if o, ok = h.find(name, toolOrigins); !ok && ctx.Err() == nil {
			return nil, &sandbox.Error{Code: sandbox.NotFound, Op: "mcp", Err: errors.New(h.unknownTool(name))}
		}
	}
	var result *sdk.CallToolResult
	err := ctx.Err()
	if ok {
		result, err = call(ctx, o, arguments, nil)
	}
	switch {
	case err == nil:
		return dump(result)
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return Failure(fmt.Sprintf("Timed out while waiting for the tool %s", name)), nil
	case ctx.Err() != nil:
		return nil, &sandbox.Error{Code: sandbox.Canceled, Op: "mcp", Err: fmt.Errorf("the call of %s was given up: %w", name, context.Cause(ctx))}
	}
	if e, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return Failure(e.Message), nil
	}
	return Failure(textOf(err)), nil
}

// dump is a result with all its members, as Python's model has them.
func dump(r *sdk.CallToolResult) (json.RawMessage, error) {
	content := r.Content
	if content == nil {
		content = []sdk.Content{}
	}
	return encode(struct {
		Meta       sdk.Meta      `json:"_meta"`
		Content    []sdk.Content `json:"content"`
		Structured any           `json:"structuredContent"`
		IsError    bool          `json:"isError"`
	}{r.Meta, content, r.StructuredContent, r.IsError})
}

// Failure is the result of a call that has none.
func Failure(text string) json.RawMessage {
	b, _ := encode(struct { // of strings: it cannot fail
		IsError bool       `json:"isError"`
		Error   string     `json:"error"`
		Content []struct{} `json:"content"`
	}{true, text, []struct{}{}})
	return b
}

func encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Internal, Op: "mcp", Err: fmt.Errorf("encode a result: %w", err)}
	}
	return b, nil
}
