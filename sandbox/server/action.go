package server

import (
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/ledger"
)

// An action is one that the server has received: waiting for its turn, running, or done a short while ago. Any number of
// readers follow its output, each from its own offset.
type action struct {
	sandbox.Action
	entry   *ledger.Entry
	place   *place        // in its lane
	done    chan struct{} // closed when frame is set
	frame   []byte        // the last one, FrameDone or FrameError; what the ledger keeps
	dropped chan struct{} // closed to take it back before its turn
	doing   performance
	traced  traced

	mu      sync.Mutex
	out     ring
	readers []*reader
	moved   chan struct{} // a reader has moved on or left; has room for one
	running interrupter   // what performs it; nil before and after, and if that cannot be interrupted
	begun   bool
	drop    bool // dropped is closed
}

func newAction(a sandbox.Action, e *ledger.Entry, maxOutput int) *action {
	act := &action{Action: a, entry: e, done: make(chan struct{}), dropped: make(chan struct{}), moved: make(chan struct{}, 1), out: newRing(maxOutput)}
	act.doing = performance{out: act.print, in: act.in}
	return act
}

// print is the sandbox.Output of the action.
func (a *action) print(offset int64, p []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hesitateLocked(uint64(offset) + uint64(len(p)))
	a.out.write(uint64(offset), p)
	for _, r := range a.readers {
		if a.out.end-r.offset >= r.enough {
			r.ring()
		}
	}
}

// hesitation is how long the output waits for a reader that would otherwise miss some of it. Readers that keep up on the
// whole then miss nothing; one that has stalled is waited for once, until it has caught up.
const hesitation = 50 * time.Millisecond

// hesitateLocked waits for readers that would miss output once it goes on to end. It lets go of a.mu meanwhile.
func (a *action) hesitateLocked(end uint64) {
	var timer *time.Timer
	for {
		behind := false
		for _, r := range a.readers {
			behind = behind || !r.stalled && r.enough == 1 && end-min(r.offset, end) > uint64(a.out.max)
		}
		if !behind {
			return
		}
		if timer == nil {
			timer = time.NewTimer(hesitation)
			defer timer.Stop()
		}
		a.mu.Unlock()
		over := false
		select {
		case <-a.moved:
		case <-timer.C:
			over = true
		}
		a.mu.Lock()
		for _, r := range a.readers {
			r.stalled = r.stalled || over && end-min(r.offset, end) > uint64(a.out.max)
		}
	}
}

// begin says that the action's turn has come; false if it was taken back.
func (a *action) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = !a.drop
	return a.begun
}

// An interrupter performs actions and can be asked to give up the one it performs: a shell's session, a kernel.
type interrupter interface{ Interrupt() error }

// in notes what performs the action, nil when it does no longer.
func (a *action) in(r interrupter) {
	a.mu.Lock()
	a.running = r
	a.mu.Unlock()
}

// length is how much the action has printed.
func (a *action) length() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.end
}

// held is the memory that the output takes.
func (a *action) held() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.out.buf)
}

// finish gives the action its last frame.
func (a *action) finish(frame []byte) {
	a.frame = frame
	close(a.done)
}

// interrupt sends SIGINT to what the action runs in the foreground, or takes it back if its turn has not come.
// Code: Conflict (done, or nothing that can be interrupted).
func (a *action) interrupt() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.done:
		return refused(sandbox.Conflict, "interrupt", "the action is done: its answer is there to be asked for")
	default:
	}
	switch {
	case !a.begun:
		if !a.drop {
			a.drop = true
			close(a.dropped)
		}
	case a.running == nil:
		return refused(sandbox.Conflict, "interrupt", "the action does nothing that can be interrupted: wait for its end")
	default:
		if err := a.running.Interrupt(); err != nil {
			return &sandbox.Error{Code: sandbox.Conflict, Op: "interrupt", Err: err}
		}
	}
	return nil
}

// A reader follows the output of an action. It belongs to one goroutine.
type reader struct {
	a      *action
	wake   chan struct{} // has room for one
	native bool          // wants the observation in the native form

	traces bool // wants the spans

	performs bool // it is to perform the action, see swift

	// Guarded by a.mu:
	offset  uint64 // of the next byte
	enough  uint64 // bytes that are worth waking it for; 1 once it streams
	stalled bool   // the output does not wait for it
}

// follow gives a reader of the output from offset on.
func (a *action) follow(offset, enough uint64) *reader {
	r := &reader{a: a, wake: make(chan struct{}, 1), offset: offset, enough: enough}
	a.mu.Lock()
	defer a.mu.Unlock()
	r.offset = min(r.offset, a.out.end)
	a.readers = append(a.readers, r)
	if a.out.end-r.offset >= enough {
		r.ring()
	}
	return r
}

// leave ends the reading. It may be called twice.
func (r *reader) leave() {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	for i, other := range r.a.readers {
		if other == r {
			r.a.readers[i] = r.a.readers[len(r.a.readers)-1]
			r.a.readers = r.a.readers[:len(r.a.readers)-1]
			wake(r.a.moved)
			return
		}
	}
}

func (r *reader) ring() { wake(r.wake) }

// wake leaves a note in a channel with room for one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// want sets how many bytes are worth waking the reader for.
func (r *reader) want(enough uint64) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	r.enough = enough
	if r.a.out.end-r.offset >= enough {
		r.ring()
	}
}
