package server

import (
	"context"
	"slices"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// laneOf names what an action has to itself while it is performed: actions of one lane are performed one at a time in the
// order they came, those of different lanes at the same time. "" is none: the action waits for nobody.
func laneOf(a sandbox.Action) string {
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		if args.IsStatic {
			return ""
		}
		return "shell " + a.Session
	case sandbox.IPythonArgs:
		return "kernel " + a.Session
	case sandbox.ReadArgs, sandbox.WriteArgs, sandbox.EditArgs:
		return "files"
	case sandbox.BrowseArgs, sandbox.BrowseInteractiveArgs:
		return laneBrowser
	}
	return ""
}

// maxInLane is how many requests without an action id may be in a lane. Those with an id are bounded by maxWaiting.
const maxInLane = 256

// errLaneFull is what the one too many is told.
var errLaneFull = refused(sandbox.Exhausted, "action", tooMany)

// lanes are those that are in use.
type lanes struct {
	mu  sync.Mutex
	all map[string][]*place // in the order they came; the first has the turn
}

// A place is where an action stands in its lane, from when it has come until it leaves. The nil place is in no lane.
type place struct {
	l    *lanes
	lane string
	turn chan struct{} // closed when it is the first
}

func newLanes() *lanes { return &lanes{all: map[string][]*place{}} }

// join takes a place at the end of a lane, whoever waits for it later. limit is how many may be in the lane, 0 for any
// number. Code: Exhausted.
func (l *lanes) join(name string, limit int) (*place, error) {
	if name == "" {
		return nil, nil
	}
	p := &place{l: l, lane: name, turn: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.all[name]
	if limit > 0 && len(in) >= limit {
		return nil, errLaneFull
	}
	if len(in) == 0 {
		close(p.turn)
	}
	l.all[name] = append(in, p)
	return p, nil
}

// first says whether it is the turn of p.
func (p *place) first() bool {
	if p == nil {
		return true
	}
	select {
	case <-p.turn:
		return true
	default:
		return false
	}
}

// wait waits for the turn. ok is false if dropped was closed first, or ctx has ended, whose error it is then. The caller
// leaves in any case.
func (p *place) wait(ctx context.Context, dropped <-chan struct{}) (ok bool, err error) {
	if p != nil {
		select {
		case <-p.turn:
		case <-dropped:
			return false, nil
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil, ctx.Err()
}

// leave gives up the place, and the turn to the next.
func (p *place) leave() {
	if p == nil {
		return
	}
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.all[p.lane]
	i := slices.Index(in, p)
	if in = slices.Delete(in, i, i+1); len(in) == 0 {
		delete(l.all, p.lane)
		return
	}
	l.all[p.lane] = in
	if i == 0 {
		close(in[0].turn)
	}
}
