package server

import (
	"context"
	"time"

	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// maxWatches is how many watches there are at once: the kernel lets a user have 128 instances of inotify, and what runs in
// the sandbox has its own use for them.
const maxWatches = 32

// watch streams what changes below a directory until the client hangs up.
func (s *Server) watch(a asked) {
	ctx := a.RequestCtx
	recursive, err := switchOf(ctx, "recursive", true)
	if err != nil {
		fail(ctx, err)
		return
	}
	release, err := s.tools.shares.take("watches", maxWatches)
	if err != nil {
		fail(ctx, err)
		return
	}
	w, err := s.files.Watch(pathOf(ctx), recursive)
	if err != nil {
		release()
		fail(ctx, err)
		return
	}
	s.answerLines(ctx, &lineStream{
		produce: func(ctx context.Context, out *lineWriter) {
			err := w.Run(ctx, func(e files.Event) error {
				return out.line(wire.WatchEvent{Type: e.Type, Path: e.Path, From: e.From, Dir: e.Dir, Time: e.Time})
			})
			_ = out.line(wire.WatchEvent{Type: "error", Time: time.Now().UTC(), Error: s.errorBody(err)}) // the writer keeps its error
		},
		idle: func(out *lineWriter) error {
			return out.line(wire.WatchEvent{Type: "heartbeat", Time: time.Now().UTC()})
		},
		closed: func() {
			w.Close()
			release()
		},
	})
}
