package mcp

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// offers is what one server has.
type offers struct {
	tools     []*sdk.Tool
	prompts   []*sdk.Prompt
	resources []*sdk.Resource
	templates []*sdk.ResourceTemplate

	reads     bool // it has resources, those in its lists and perhaps others
	completes bool // arguments
	logs      bool // its messages have a level that can be set
	tells     bool // of changes to resources
}

// list asks a server for what it has. What it answers may be nonsense that the SDK stumbles over.
func list(ctx context.Context, s *sdk.ClientSession) (o offers, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its answer makes no sense: %v", p)
		}
	}()
	caps := s.InitializeResult().Capabilities
	if caps == nil {
		return o, nil
	}
	o.completes, o.logs = caps.Completions != nil, hasLevel(caps)
	if caps.Tools != nil {
		o.tools, err = all(func(cursor string) ([]*sdk.Tool, string, error) {
			r, err := s.ListTools(ctx, &sdk.ListToolsParams{Cursor: cursor})
			if err != nil {
				return nil, "", err
			}
			return r.Tools, r.NextCursor, nil
		})
	}
	if caps.Prompts != nil && err == nil {
		o.prompts, err = all(func(cursor string) ([]*sdk.Prompt, string, error) {
			r, err := s.ListPrompts(ctx, &sdk.ListPromptsParams{Cursor: cursor})
			if err != nil {
				return nil, "", err
			}
			return r.Prompts, r.NextCursor, nil
		})
	}
	if caps.Resources != nil && err == nil {
		o.reads, o.tells = true, caps.Resources.Subscribe
		err = o.listResources(ctx, s)
	}
	return o, err
}

func (o *offers) listResources(ctx context.Context, s *sdk.ClientSession) (err error) {
	o.resources, err = all(func(cursor string) ([]*sdk.Resource, string, error) {
		r, err := s.ListResources(ctx, &sdk.ListResourcesParams{Cursor: cursor})
		if err != nil {
			return nil, "", err
		}
		return r.Resources, r.NextCursor, nil
	})
	if err != nil {
		return err
	}
	// Servers that have no templates may not know the question.
	o.templates, _ = all(func(cursor string) ([]*sdk.ResourceTemplate, string, error) {
		r, err := s.ListResourceTemplates(ctx, &sdk.ListResourceTemplatesParams{Cursor: cursor})
		if err != nil {
			return nil, "", err
		}
		return r.ResourceTemplates, r.NextCursor, nil
	})
	return ctx.Err()
}

// all collects the pages of a list, but no more than maxPages of them, and maxItems and maxOffered in all.
func all[T any](page func(cursor string) (items []*T, next string, err error)) ([]*T, error) {
	var list []*T
	var size counted
	cursor := ""
	for range maxPages {
		items, next, err := page(cursor)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if item == nil || json.NewEncoder(&size).Encode(item) != nil { // the latter is left out too
				continue
			}
			if len(list) == maxItems || size > maxOffered {
				return list, nil
			}
			list = append(list, item)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	return list, nil
}

// counted is how many bytes were written to it.
type counted int

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}
