package server

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// docs answers with a page that lists the requests. It needs nothing from elsewhere.
func (s *Server) docs(ctx *fasthttp.RequestCtx) {
	type operation struct{ Summary, Description string }
	var document struct {
		Info  struct{ Title, Version string }
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(wire.OpenAPI(), &document); err != nil {
		detail(ctx, fasthttp.StatusInternalServerError, unexpected)
		return
	}
	title := html.EscapeString(document.Info.Title + " " + document.Info.Version)
	b := fmt.Appendf(nil, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>%s</title></head><body>\n<h1>%s</h1>\n"+
		"<p>The whole: <a href=\"openapi.json\">openapi.json</a></p>\n<table>\n", title, title)
	paths := make([]string, 0, len(document.Paths))
	for path := range document.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			var o operation
			if raw, ok := document.Paths[path][method]; ok && json.Unmarshal(raw, &o) == nil {
				text := o.Summary
				if text == "" {
					text = o.Description
				}
				b = fmt.Appendf(b, "<tr><td>%s</td><td><code>%s</code></td><td>%s</td></tr>\n", strings.ToUpper(method), html.EscapeString(path), html.EscapeString(text))
			}
		}
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBody(append(b, "</table>\n</body></html>\n"...))
}
