package server

import (
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// conditions are those of a request that depend on the entity tag of a file (RFC 9110, section 13.1).
type conditions struct{ match, noneMatch, ranges string }

func conditionsOf(ctx *fasthttp.RequestCtx) conditions {
	h := &ctx.Request.Header
	return conditions{string(h.Peek("If-Match")), string(h.Peek("If-None-Match")), string(h.Peek("If-Range"))}
}

// allow says whether a file with this entity tag, "" being none, may be written over.
func (c conditions) allow(etag string) bool {
	return (c.match == "" || tagged(c.match, etag, true)) && (c.noneMatch == "" || !tagged(c.noneMatch, etag, false))
}

// fresh says whether the client has what has this entity tag already.
func (c conditions) fresh(etag string) bool {
	return c.noneMatch != "" && tagged(c.noneMatch, etag, false)
}

// tagged says whether etag is in a list of entity tags, or the list is "*" and there is a file. Ours are strong; of the list's
// weak ones a strong comparison takes none.
func tagged(list, etag string, strong bool) bool {
	if etag == "" {
		return false
	}
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for list != "" {
		list = strings.TrimLeft(list, " \t,")
		tag, weak := strings.CutPrefix(list, "W/")
		end := 0
		if strings.HasPrefix(tag, `"`) {
			end = strings.IndexByte(tag[1:], '"') + 2
		}
		if end < 2 {
			return false // no list of tags
		}
		if tag[:end] == etag && !(strong && weak) {
			return true
		}
		list = tag[end:]
	}
	return false
}

func changedMeanwhile(etag string) error {
	return refused(sandbox.Conflict, "files", "the file is another by now, with the entity tag "+etag+": get it again")
}
