package server

import (
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// putEnv takes variables for shells to come. All of them, or none if one is wrong.
func (s *Server) putEnv(a asked) {
	ctx, epoch := a.RequestCtx, a.epoch
	b, err := s.body(ctx)
	if err != nil {
		s.failBody(ctx, err)
		return
	}
	vars := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		err := sandbox.CheckEnv(name, value)
		switch {
		case !ok:
			err = fmt.Errorf("%.40q has no =", v)
		case name == EnvMark || name == EnvPID || name == EnvKey:
			err = fmt.Errorf("%s is not to be changed", name)
		}
		if err != nil {
			fail(ctx, &sandbox.Error{Code: sandbox.Invalid, Op: "server", Err: err})
			return
		}
	}
	if err := s.fence(epoch); err != nil { // the body may have taken long
		fail(ctx, err)
		return
	}
	s.sessions.setEnv(vars)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
