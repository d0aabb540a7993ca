package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

const (
	maxGlobbed  = 10_000
	maxGrepped  = 100_000
	maxContext  = 100 // lines
	maxSearches = 16  // at once: each is a program, or a core of ours
)

// within reads a limit: from 0, which is otherwise, to most.
func within(name string, n, otherwise, most int) (int, error) {
	if n < 0 || n > most {
		return 0, refused(sandbox.Invalid, "files", fmt.Sprintf("%s is %d, and can be 0 to %d", name, n, most))
	}
	if n == 0 {
		return otherwise, nil
	}
	return n, nil
}

func (s *Server) glob(a asked) {
	ctx := a.RequestCtx
	var r wire.Glob
	if !s.readJSON(ctx, &r) {
		return
	}
	limit, err := within("limit", r.Limit, maxGlobbed, maxGlobbed)
	if err != nil {
		fail(ctx, err)
		return
	}
	release, err := s.tools.shares.take("searches", maxSearches)
	if err != nil {
		fail(ctx, err)
		return
	}
	defer release()
	paths, truncated, err := s.files.Glob(s.life, files.GlobOptions{Path: r.Path, Pattern: r.Pattern, Hidden: r.Hidden, Ignore: r.Ignore, Limit: limit})
	if err != nil {
		fail(ctx, err)
		return
	}
	if paths == nil {
		paths = []string{}
	}
	answerJSON(ctx, fasthttp.StatusOK, wire.GlobResult{Paths: paths, Truncated: truncated})
}

func (s *Server) grep(a asked) {
	ctx := a.RequestCtx
	var r wire.Grep
	if !s.readJSON(ctx, &r) {
		return
	}
	o := files.GrepOptions{Path: r.Path, Pattern: r.Pattern, Literal: r.Literal, IgnoreCase: r.IgnoreCase, Glob: r.Glob,
		Hidden: r.Hidden, NoIgnore: r.NoIgnore}
	var err error
	if o.Context, err = within("context", r.Context, 0, maxContext); err == nil {
		o.Limit, err = within("limit", r.Limit, 1000, maxGrepped)
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	o.Env = s.sessions.settings().Env
	o.Ripgrep, o.Child = programIn(o.Env, "rg"), s.childConfig()
	search, err := s.files.Grep(o)
	if err != nil {
		fail(ctx, err)
		return
	}
	release, err := s.tools.shares.take("searches", maxSearches)
	if err != nil {
		search.Close()
		fail(ctx, err)
		return
	}
	s.answerLines(ctx, &lineStream{
		produce: func(ctx context.Context, out *lineWriter) {
			sum, err := search.Run(ctx, func(l files.GrepLine) error {
				return out.line(wire.GrepMatch{Path: l.Path, Line: l.Line, Text: l.Text, Column: l.Column, Context: l.Column == 0})
			})
			_ = out.line(wire.GrepEnd{Done: true, Matches: sum.Matches, Files: sum.Files, Truncated: sum.Truncated, Engine: sum.Engine,
				Error: s.errorBody(err)}) // the writer keeps its error
		},
		idle: whileThere(ctx.Conn()),
		closed: func() {
			search.Close()
			release()
		},
	})
}

// programIn finds a program where those who have the environment env would; "" if there is none.
func programIn(env []string, name string) string {
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			full := filepath.Join(dir, name)
			if fi, err := os.Stat(full); filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
				return full
			}
		}
	}
	return ""
}
