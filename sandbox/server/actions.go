package server

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// nativeAction routes what is asked of one action.
func (s *Server) nativeAction(a asked) {
	ctx, epoch := a.RequestCtx, a.epoch
	id, interrupt := strings.CutSuffix(a.rest, wire.SuffixInterrupt)
	if err := sandbox.CheckActionID(id); err != nil {
		fail(ctx, err)
		return
	}
	switch {
	case interrupt && ctx.IsPost():
		s.interruptAction(ctx, id, epoch)
	case interrupt:
		wrongMethod(ctx)
	case ctx.IsPost():
		s.postAction(a, id)
	case ctx.IsGet():
		s.getAction(a, id)
	default:
		wrongMethod(ctx)
	}
}

func (s *Server) postAction(from asked, id string) {
	ctx := from.RequestCtx
	offset, err := offsetOf(ctx)
	if err != nil {
		fail(ctx, err)
		return
	}
	body, err := s.body(ctx)
	if err != nil {
		s.failBody(ctx, err)
		return
	}
	a, native, err := nativeForm(from.version, body)
	if err == nil {
		err = s.unbrowsable(a)
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	a.ID = id
	act, r, frame, err := s.admit(a, sha256.Sum256(body), from.epoch, offset, tracedBy(ctx))
	s.reply(ctx, native, act, r, frame, err)
}

func (s *Server) getAction(from asked, id string) {
	ctx := from.RequestCtx
	offset, err := offsetOf(ctx)
	if err != nil {
		fail(ctx, err)
		return
	}
	act, r, frame, err := s.find(id, from.epoch, offset)
	s.reply(ctx, from.version != 1, act, r, frame, err)
}

// reply answers with what admit or find gave, in the native form or that of OpenHands.
func (s *Server) reply(ctx *fasthttp.RequestCtx, native bool, act *action, r *reader, frame []byte, err error) {
	if err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note()
	if act != nil {
		if r.performs {
			s.attempt(act)
		}
		r.native, r.traces = native, tracedBy(ctx).Sampled
		s.answer(ctx, act, r)
		return
	}
	ctx.SetContentType(framesType)
	ctx.Response.SetBodyRaw(inForm(frame, native))
}

const framesType = wire.TypeFrames

func (s *Server) interruptAction(ctx *fasthttp.RequestCtx, id string, epoch uint64) {
	act, r, _, err := s.find(id, epoch, 0)
	if act != nil {
		r.leave()
		err = act.interrupt()
	} else if err == nil {
		err = refused(sandbox.Conflict, "interrupt", "the action is done: its answer is there to be asked for")
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note()
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// offsetOf reads ?offset=, 0 if it is absent.
func offsetOf(ctx *fasthttp.RequestCtx) (uint64, error) {
	args := ctx.QueryArgs()
	if !args.Has("offset") {
		return 0, nil
	}
	n, err := args.GetUint("offset")
	if err != nil {
		return 0, refused(sandbox.Invalid, "action", fmt.Sprintf("offset %.40q is no number of bytes", args.Peek("offset")))
	}
	return uint64(n), nil
}
