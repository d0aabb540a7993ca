package server

import (
	"context"
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
		return "browser"
	}
	return ""
}

// lanes are those that are in use.
type lanes struct {
	mu  sync.Mutex
	all map[string]*lane
}

type lane struct {
	turn  chan struct{} // has room for one: held by the action being performed
	users int           // performing or waiting
}

func newLanes() *lanes { return &lanes{all: map[string]*lane{}} }

// take waits for the turn in a lane and gives what ends it. ok is false if dropped was closed first, and the error is
// that of ctx if that was.
func (l *lanes) take(ctx context.Context, name string, dropped <-chan struct{}) (leave func(), ok bool, err error) {
	if name == "" {
		return func() {}, true, ctx.Err()
	}
	l.mu.Lock()
	at := l.all[name]
	if at == nil {
		at = &lane{turn: make(chan struct{}, 1)}
		l.all[name] = at
	}
	at.users++
	l.mu.Unlock()
	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at.users--; at.users == 0 {
			delete(l.all, name)
		}
	}
	select {
	case at.turn <- struct{}{}: // those who wait at a channel are served in the order they came
	case <-dropped:
		gone()
		return nil, false, nil
	case <-ctx.Done():
		gone()
		return nil, false, ctx.Err()
	}
	leave = func() {
		<-at.turn
		gone()
	}
	if err := ctx.Err(); err != nil { // both were so, and either case may have been chosen
		leave()
		return nil, false, err
	}
	return leave, true, nil
}
