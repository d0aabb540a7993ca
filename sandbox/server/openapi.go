package server

import (
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// openAPI answers with the document of all routes, compressed for those who take it so.
func (s *Server) openAPI(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(wire.TypeJSON)
	ctx.Response.Header.Set("Vary", "Accept-Encoding")
	if ctx.Request.Header.HasAcceptEncoding("gzip") {
		ctx.Response.Header.SetContentEncoding("gzip")
		ctx.Response.SetBodyRaw(wire.OpenAPIGzip())
		return
	}
	ctx.Response.SetBodyRaw(wire.OpenAPI())
}
