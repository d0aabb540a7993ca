package backends

import (
	"sync/atomic"

	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Figures are what a Backend has done since it was opened.
type Figures struct {
	Starts *figures.Histogram // nanoseconds of each Start that succeeded
	// How those came by their sandbox: a new one or a revived one, a blank that was adopted, one that lived. And sandboxes
	// attached to.
	Cold, Warm, Found, Attached atomic.Uint64
	Transport                   *transport.Figures

	start, attach, list, remove figures.Outcomes
}

func newFigures() *Figures {
	return &Figures{Starts: figures.NewHistogram(figures.Durations), Transport: transport.NewFigures()}
}

// Figures are read as they go on.
func (b *Backend) Figures() *Figures { return b.figures }

// Failures tells how often each operation has failed, by the code. To find no sandbox is no failure of Attach.
func (f *Figures) Failures(tell func(op string, code sandbox.Code, n uint64)) {
	for _, op := range []struct {
		name  string
		ended *figures.Outcomes
	}{{"attach", &f.attach}, {"list", &f.list}, {"remove", &f.remove}, {"start", &f.start}} {
		op.ended.Each(func(code sandbox.Code, n uint64) {
			if code != "" {
				tell(op.name, code, n)
			}
		})
	}
}
