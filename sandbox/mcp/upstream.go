package mcp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
)

// The states of a server.
//
//	idle ──first use──▶ starting ──answers──▶ ready ────ends──▶ waiting ──pause over──▶ starting
//	                        └────────fails────────────────────────▲ │
//	                                                                └─too often─▶ failed ──used again──▶ starting
//
// and from each to ended, when it is taken out of the configuration or the Hub closes.
const (
	Idle     = "idle"     // nobody has asked yet
	Starting = "starting" //
	Ready    = "ready"    // it answers
	Waiting  = "waiting"  // it has ended, and will be started again after a pause
	Failed   = "failed"   // it has ended too often in a row: started again when it is used, though not before the pause is over
	Ended    = "ended"    //
)

const (
	firstPause = 500 * time.Millisecond // doubled with every end in a row
	maxPause   = 30 * time.Second       //
	maxRetries = 6                      // ends in a row after which it is left alone: half a minute of trying
	refresh    = 250 * time.Millisecond // least time between two looks at lists that a server says have changed
	maxNews    = 256                    // that wait to be passed on; what comes beyond is dropped
	steadyTime = 30 * time.Second       // a server that ran so long has not ended in a row
)

// An upstream is one configured server. A goroutine of its own, begun by the first use, keeps it running.
type upstream struct {
	hub    *Hub
	config Server
	life   context.Context // ends with close
	end    context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended, or never was
	stale  chan struct{} // has room for one: the lists are to be asked for again
	news   chan func()   // what it tells clients, to be passed on one by one
	wanted chan struct{} // has room for one: somebody has used a failed one

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced with every change of state
	state      string
	begun      bool
	tries      int // ends and failures in a row
	restarts   int // after the first start
	next       time.Time
	since      time.Time
	last       error // how it ended the last time
	pid        int
	session    *sdk.ClientSession // while running
	offers     offers             // kept when it ends
	subscribed []string           // URIs of resources
}

func newUpstream(h *Hub, s Server) *upstream {
	u := &upstream{hub: h, config: s, done: make(chan struct{}), stale: make(chan struct{}, 1), news: make(chan func(), maxNews), wanted: make(chan struct{}, 1),
		changed: make(chan struct{}), state: Idle, since: time.Now()}
	u.life, u.end = context.WithCancel(h.life)
	return u
}

// begin starts the server unless that was done before. A failed one is tried again if its pause is over.
func (u *upstream) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.life.Err() != nil:
	case !u.begun:
		u.begun = true
		u.setLocked(Starting)
		u.hub.work.Go(u.keep)
	case u.state == Failed && !time.Now().Before(u.next):
		u.setLocked(Starting) // now, so that whoever asks next waits for it
		wake(u.wanted)
	}
}

func (u *upstream) setLocked(state string) {
	u.state, u.since = state, time.Now()
	close(u.changed)
	u.changed = make(chan struct{})
}

// keep keeps the server running until close.
func (u *upstream) keep() {
	defer close(u.done)
	for u.life.Err() == nil {
		began := time.Now()
		err := u.once()
		if u.life.Err() != nil {
			break
		}
		u.pause(err, time.Since(began))
	}
	u.mu.Lock()
	u.session, u.pid = nil, 0
	u.setLocked(Ended)
	u.mu.Unlock()
}

// once starts the server, and returns how it has ended.
func (u *upstream) once() error {
	// It bounds the connection, not only its making, and outlasts u.life, since a server elsewhere is told of the end.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(u.life))
	defer cancel(nil)
	hasty := context.AfterFunc(u.life, func() { cancel(nil) })
	defer hasty()
	slow := time.AfterFunc(startTime, func() { cancel(errSlow) })
	defer slow.Stop()
	l, err := u.connect(ctx)
	if err != nil {
		return slowOr(ctx, err)
	}
	defer l.close()
	found, err := list(ctx, l.session)
	if err == nil && !slow.Stop() {
		err = errSlow
	}
	hasty() // from here on attend looks after that
	if err != nil {
		l.close()
		return l.explain(slowOr(ctx, fmt.Errorf("asking what it offers: %w", err)))
	}
	u.offer(found) // before it counts as running: whoever waits for that asks for the lists next
	u.hub.restore(u.life, u, l.session)
	u.mu.Lock()
	u.session, u.pid = l.session, l.pid
	u.setLocked(Ready)
	u.mu.Unlock()
	u.attend(l)
	l.close()
	return l.explain(errors.New("it has ended the connection"))
}

var errSlow = fmt.Errorf("it did not answer within %v of its start", startTime)

// slowOr is errSlow if that is why ctx has ended, else err.
func slowOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

// attend passes on what the server tells, and asks again for lists that have changed, until the link ends.
func (u *upstream) attend(l *link) {
	ended := make(chan struct{})
	u.hub.work.Go(func() { // ends with the link, which is closed when attend returns
		defer close(ended)
		_ = l.session.Wait()
	})
	u.hub.work.Go(func() { // ends with the link too
		for {
			select {
			case <-ended:
				return
			case tell := <-u.news:
				tell()
			}
		}
	})
	for {
		select {
		case <-ended:
			return
		case <-u.life.Done():
			return
		case <-u.stale:
		}
		ctx, cancel := context.WithTimeout(u.life, startTime)
		found, err := list(ctx, l.session)
		cancel()
		if err != nil {
			u.hub.log.Warn("asking a tool server for its changed lists", "server", u.config.Name, "err", err)
		} else {
			u.offer(found)
		}
		within(refresh, ended)
	}
}

// pass has something told to clients, who may be slow; not at all if too much waits for that already.
func (u *upstream) pass(tell func()) {
	select {
	case u.news <- tell:
	default:
	}
}

// offer has the Hub show what the server has now.
func (u *upstream) offer(found offers) {
	u.mu.Lock()
	u.offers = found
	u.mu.Unlock()
	u.hub.mirror()
}

// pause waits before the next start. err is how the server has ended after so long.
func (u *upstream) pause(err error, after time.Duration) {
	u.mu.Lock()
	if after >= steadyTime {
		u.tries = 0
	}
	wait := pauseAfter(u.tries, rand.Float64())
	u.tries++
	u.restarts++
	u.session, u.pid, u.last = nil, 0, err
	u.next = time.Now().Add(wait)
	failed := u.tries > maxRetries
	if failed {
		u.setLocked(Failed)
	} else {
		u.setLocked(Waiting)
	}
	tries := u.tries
	u.mu.Unlock()
	u.hub.log.Warn("a tool server has ended", "server", u.config.Name, "attempt", tries, "again_in", wait, "gives_up", failed, "err", err)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-u.life.Done():
		return
	case <-timer.C:
	}
	if failed {
		select {
		case <-u.life.Done():
			return
		case <-u.wanted:
		}
	}
	u.mu.Lock()
	if u.state != Starting {
		u.setLocked(Starting)
	}
	u.mu.Unlock()
}

// pauseAfter is how long to wait after so many ends in a row before this one: doubled each time, within bounds, and
// by chance (from 0 to 1) a half to the whole of that, so that servers which fail together do not start together.
func pauseAfter(ends int, chance float64) time.Duration {
	d := maxPause
	if ends < 10 {
		d = min(maxPause, firstPause<<ends)
	}
	return d/2 + time.Duration(chance*float64(d/2))
}

// tried waits until the server runs or has failed to, or ctx ends.
func (u *upstream) tried(ctx context.Context) {
	for {
		u.mu.Lock()
		state, changed := u.state, u.changed
		u.mu.Unlock()
		if state != Starting {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// use gives the session with the server, which it starts and waits for if need be, but not while that pauses.
// Codes: Unavailable, Canceled.
func (u *upstream) use(ctx context.Context) (*sdk.ClientSession, error) {
	u.begin()
	u.tried(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.session != nil {
		return u.session, nil
	}
	if u.state == Starting {
		return nil, u.fail(sandbox.Canceled, fmt.Errorf("is still starting, and nobody waits any longer: %w", ctx.Err()))
	}
	return nil, u.awayLocked()
}

// awayLocked says why the server does not run.
func (u *upstream) awayLocked() error {
	switch {
	case u.hub.life.Err() != nil:
		return errClosed()
	case u.state == Ended || u.life.Err() != nil:
		return u.fail(sandbox.Unavailable, errors.New("has been taken out of the configuration"))
	case u.state == Failed:
		return u.fail(sandbox.Unavailable, fmt.Errorf("has failed %d times in a row and is tried again when it is used, though not for another %v; repair it or its configuration: %w",
			u.tries, untilNext(u.next), u.last))
	case u.last == nil:
		return u.fail(sandbox.Unavailable, errors.New("does not run yet: ask again"))
	}
	return u.fail(sandbox.Unavailable, fmt.Errorf("is not running: attempt %d to start it comes in %v; ask again then: %w", u.tries+1, untilNext(u.next), u.last))
}

func untilNext(t time.Time) time.Duration {
	return max(0, time.Until(t)).Round(100 * time.Millisecond)
}

func (u *upstream) fail(code sandbox.Code, err error) error {
	return &sandbox.Error{Code: code, Op: "mcp", Err: fmt.Errorf("server %s %w", u.config.Name, err)}
}

// lostTime is how long the goroutine has to find out how a server ended whose connection broke under a call.
const lostTime = 2 * time.Second

// lost says how the server ended, for a call on the session that it took with it.
func (u *upstream) lost(session *sdk.ClientSession) error {
	timer := time.NewTimer(lostTime)
	defer timer.Stop()
	for {
		u.mu.Lock()
		same, changed, err := u.session == session, u.changed, u.awayLocked()
		u.mu.Unlock()
		if !same {
			return err
		}
		select {
		case <-changed:
		case <-timer.C:
			return u.fail(sandbox.Unavailable, errors.New("has ended the connection: ask again"))
		}
	}
}

// close ends the server for good and waits until it is gone.
func (u *upstream) close() {
	u.end()
	u.mu.Lock()
	if !u.begun {
		u.begun = true
		u.setLocked(Ended)
		close(u.done)
	}
	u.mu.Unlock()
	<-u.done
}

// wake leaves a note in a channel with room for one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
