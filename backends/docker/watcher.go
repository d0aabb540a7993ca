package docker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/sandtree/sandtree/sandbox"
)

// watcher learns from the engine's events how containers end. One goroutine reads them, from the first container that is held
// until the driver is closed. When the stream breaks, as it does when the engine is restarted, it is subscribed to again
// with growing pauses, and then each container that is held is looked at once: what happened meanwhile nobody tells.
//
// An event only says where to look. What it means is decided by the container's state: events may be late, and those of an
// earlier run of the same container look like those of this one.
type watcher struct {
	d *Driver

	mu      sync.Mutex
	running bool
	held    map[*running]bool
	state   streamState
	err     error         // of the last attempt, if state is broken
	changed chan struct{} // closed and replaced when state changes
	again   chan struct{} // has room for one: try now
}

type streamState int

const (
	connecting streamState = iota
	connected
	broken
)

// The pauses between attempts to subscribe. An engine is restarted in seconds.
const (
	subscribePauseMin = 50 * time.Millisecond
	subscribePauseMax = 5 * time.Second
)

func newWatcher(d *Driver) *watcher {
	return &watcher{d: d, held: map[*running]bool{}, changed: make(chan struct{}), again: make(chan struct{}, 1)}
}

// share gives the run of a container, by id or name, that is there now, to one who may never let go of it. errEnded if it is
// not running.
func (w *watcher) share(ctx context.Context, name string) (*running, container.InspectResponse, error) {
	r, c, err := w.hold(ctx, name)
	if err != nil {
		return nil, c, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for other := range w.held {
		if other.shared && other.id == r.id && other.started == r.started {
			delete(w.held, r)
			return other, c, nil
		}
	}
	r.shared = true
	return r, c, nil
}

// hold begins to watch the run of a container, by id or name, that is there now, until it ends or is dropped. errEnded if it
// is not running.
func (w *watcher) hold(ctx context.Context, name string) (*running, container.InspectResponse, error) {
	if err := w.subscribed(ctx); err != nil {
		return nil, container.InspectResponse{}, err
	}
	r := &running{letgo: make(chan struct{})}
	w.mu.Lock()
	w.held[r] = true // before it is looked at: from here on, its end is seen either by the look or by the event
	w.mu.Unlock()
	c, err := w.d.engine.ContainerInspect(ctx, name)
	if err == nil && !c.State.Running {
		err = errEnded
	}
	w.mu.Lock()
	kept, missed := w.held[r], r.missed
	if err != nil {
		delete(w.held, r)
	} else {
		r.id, r.started = c.ID, c.State.StartedAt
	}
	w.mu.Unlock()
	switch {
	case err != nil:
		return nil, c, err
	case !kept:
		return nil, c, errClosed
	case missed:
		if err := w.look(ctx, c.ID, ""); err != nil {
			w.drop(r)
			return nil, c, err
		}
	}
	return r, c, nil
}

// subscribed waits until the events are read. It fails as soon as an attempt does that began after the call.
func (w *watcher) subscribed(ctx context.Context) error {
	w.mu.Lock()
	if !w.running {
		w.running = w.d.begin(w.run)
		if !w.running {
			w.mu.Unlock()
			return errClosed
		}
	}
	failures := 0
	for {
		state, err, changed := w.state, w.err, w.changed
		w.mu.Unlock()
		switch {
		case state == connected:
			return nil
		case state == broken && failures > 0:
			return err
		case state == broken:
			failures++
			select {
			case w.again <- struct{}{}:
			default:
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return coded{sandbox.Canceled, context.Cause(ctx)}
		case <-w.d.life.Done():
			return errClosed
		}
		w.mu.Lock()
	}
}

func (w *watcher) set(s streamState, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.err = s, err
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) run() {
	ctx := w.d.life
	for pause := subscribePauseMin; ctx.Err() == nil; {
		lasted, err := w.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if lasted {
			pause = subscribePauseMin
			w.d.log.Warn("the engine's events have broken off", "err", err)
		}
		w.set(broken, err)
		t := time.NewTimer(pause/2 + rand.N(pause/2))
		pause = min(2*pause, subscribePauseMax)
		select {
		case <-t.C:
		case <-w.again:
		case <-ctx.Done():
		}
		t.Stop()
		w.set(connecting, nil)
	}
}

// stream subscribes and deals with events until the stream breaks; lasted is whether it ever stood.
func (w *watcher) stream(ctx context.Context) (lasted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The engine's answer comes a moment before it begins to collect events for us. A look back covers that moment.
	since := time.Now().Add(-time.Minute).Format(time.RFC3339Nano)
	told, failed := w.d.engine.Events(ctx, events.ListOptions{Since: since, Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", labelPrefix+"system="+w.d.system),
		filters.Arg("event", string(events.ActionDie)), filters.Arg("event", string(events.ActionOOM)), filters.Arg("event", string(events.ActionDestroy)),
	)})
	select {
	case err = <-failed:
		return false, err
	default:
	}
	w.set(connected, nil)
	err = w.look(ctx, "", "")
	for err == nil {
		select {
		case e := <-told:
			if e.Action == events.ActionOOM {
				w.d.log.Warn("a process of a sandbox was killed for want of memory", "id", e.Actor.Attributes[labelPrefix+"id"])
				w.d.starve(sandbox.ID(e.Actor.Attributes[labelPrefix+"id"]), e.TimeNano)
				continue
			}
			err = w.look(ctx, e.Actor.ID, e.Actor.Attributes["exitCode"])
		case err = <-failed:
		}
	}
	return true, err
}

// look looks at the held runs of a container, or of all if id is "", and lets go of those that have ended. code is the exit
// code, if an event has told it: a container that is removed at once cannot be looked at. When it fails, all must be looked at
// again.
func (w *watcher) look(ctx context.Context, id, code string) error {
	for r, started := range w.holding(id) {
		c, err := w.d.engine.ContainerInspect(ctx, r.id)
		switch {
		case errdefs.IsNotFound(err):
			w.over(r, exitOf(code, false))
		case err != nil:
			return fmt.Errorf("look at container %s: %w", r.id, err)
		case c.State.StartedAt == started && c.State.Running:
		case c.State.StartedAt == started:
			w.over(r, exitOfState(c.State))
		default: // it has been started again since
			w.over(r, exitOf(code, false))
		}
	}
	return nil
}

// holding gives the held runs of a container, or of all if id is "", with their start. Those that hold is just looking at are
// left to it.
func (w *watcher) holding(id string) map[*running]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	runs := map[*running]string{}
	for r := range w.held {
		switch {
		case r.started == "":
			r.missed = true
		case id == "" || r.id == id:
			runs[r] = r.started
		}
	}
	return runs
}

func (w *watcher) over(r *running, exit sandbox.Exit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[r] {
		delete(w.held, r)
		r.exit, r.ended = exit, true
		close(r.letgo)
	}
}

// drop ends the holding of a run that nobody waits for.
func (w *watcher) drop(r *running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, r)
}

// letGo ends the holding of all, when the driver is closed.
func (w *watcher) letGo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.held {
		delete(w.held, r)
		close(r.letgo)
	}
}
