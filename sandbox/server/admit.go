package server

import (
	"context"
	"crypto/sha256"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

const (
	// maxWaiting is how many actions may wait for their turn. A controller sends one at a time.
	maxWaiting = 256
	// Actions that are done are kept for readers that come again for the rest of the output, the newest ones, as long
	// as they are no more than maxRecent and their output takes no more than maxRecentBytes.
	maxRecent      = 16
	maxRecentBytes = 8 << 20
)

// admit receives an action: it is begun if its id is new, else joined, or found done. The reader follows it from offset on;
// if the output is no longer held the action is nil and the frame is all there is. epoch is that of the asker; 0 none.
// by is the span that asks; zero if it is none.
// Codes: Invalid, Conflict (fenced, or another body), Exhausted, Unavailable.
func (s *Server) admit(a sandbox.Action, body [sha256.Size]byte, epoch, offset uint64, by trace.Parent) (*action, *reader, []byte, error) {
	// One lock from the look at the epoch to the record: an action that a newer controller was told is unknown cannot
	// be received after that from an older one.
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fenceLocked(epoch); err != nil {
		return nil, nil, nil, err
	}
	if act := s.actions[a.ID]; act == nil && s.waiting >= maxWaiting {
		return nil, nil, nil, refused(sandbox.Exhausted, "action", "too many actions wait for their turn: ask again when one of them has ended")
	}
	if s.stopping {
		return nil, nil, nil, errStopping
	}
	entry, fresh, err := s.ledger.Begin(a.ID, body)
	if err != nil {
		return nil, nil, nil, err
	}
	if !fresh {
		if act := s.actions[a.ID]; act != nil {
			return act, act.follow(offset, plenty), nil, nil
		}
		frame, _ := entry.Answer() // what is not in actions is done
		return nil, nil, frame, nil
	}
	act := newAction(a, entry, s.config.MaxOutput)
	act.traced = begunBy(by)
	act.place, _ = s.lanes.join(laneOf(a), 0) // here, for this is the order in which actions have come
	r := act.follow(offset, plenty)
	s.actions[a.ID] = act
	s.waiting++
	if r.performs = act.swift(); r.performs {
		act.doing.soon = true
		s.working.Add(1) // until attempt ends
	} else {
		s.assign(act)
	}
	return act, r, nil, nil
}

// swift says whether the action may be over in less time than it takes to wake somebody for it, and whoever asks for it
// does it himself: a command whose turn it is.
func (a *action) swift() bool {
	args, ok := a.Args.(sandbox.RunArgs)
	return ok && !args.IsStatic && a.place.first()
}

// attempt performs a swift action; one that takes its time after all goes on with the crew.
func (s *Server) attempt(act *action) {
	defer s.working.Done()
	o, err := s.inTurn(act)
	if act.doing.soon = false; err == errGoesOn {
		s.assign(act)
		return
	}
	s.conclude(act, o, err)
}

// find joins an action that was received earlier, or gives its last frame. Codes: NotFound, Conflict.
func (s *Server) find(id string, epoch, offset uint64) (*action, *reader, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fenceLocked(epoch); err != nil {
		return nil, nil, nil, err
	}
	if act := s.actions[id]; act != nil {
		return act, act.follow(offset, plenty), nil, nil
	}
	if entry, ok := s.ledger.Lookup(id); ok {
		frame, _ := entry.Answer()
		return nil, nil, frame, nil
	}
	if s.ledger.Known(id) {
		return nil, nil, nil, refused(sandbox.Conflict, "action", "it was performed long ago: its answer is no longer kept")
	}
	return nil, nil, nil, refused(sandbox.NotFound, "action", "it was never received")
}

// fenceLocked refuses an asker that a newer one has replaced, and notes the epoch of one that is newer itself.
func (s *Server) fenceLocked(epoch uint64) error {
	if epoch == 0 || epoch == s.ledger.Epoch() {
		return nil
	}
	return s.ledger.Raise(epoch)
}

// fence is fenceLocked for requests that are no actions.
func (s *Server) fence(epoch uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fenceLocked(epoch)
}

// work waits for the action's turn, performs it and records the answer. It does not end with any client.
func (s *Server) work(act *action) {
	o, err := s.inTurn(act)
	s.conclude(act, o, err)
}

// conclude ends an action with what came of it.
func (s *Server) conclude(act *action, o sandbox.Observation, err error) {
	act.place.leave()
	s.tell(&act.traced, act.Action, act.doing.at, o, err)
	printed := act.length()
	frame := lastFrame(o, err, printed)
	if err := act.entry.Done(recorded(o, err, frame, printed)); err != nil {
		s.log.ErrorContext(act.traced.in(s.life), "recording an answer", "action", act.ID, "err", err)
	}
	act.Action = sandbox.Action{ID: act.ID} // its text may be long and is not needed any more
	act.finish(frame)
	s.mu.Lock()
	s.waiting--
	s.retireLocked(act)
	s.mu.Unlock()
}

// recorded is the frame as it is written down. The text of a hidden command is left out, which its asker knows and which
// may hold secrets: variables are exported by one.
func recorded(o sandbox.Observation, err error, frame []byte, printed uint64) []byte {
	if r, ok := o.Result.(sandbox.RunResult); ok && r.Hidden && err == nil {
		r.Command = ""
		o.Result = r
		return lastFrame(o, nil, printed)
	}
	return frame
}

const (
	textDropped  = "The action was interrupted before its turn came. It has not run and will not: ask for it anew, with another id, if it is still wanted."
	textStopping = "The server of the sandbox was stopped before the action's turn came. It has not run and will not: ask for it anew, with another id, when a server is there."
)

func (s *Server) inTurn(act *action) (sandbox.Observation, error) {
	if act.doing.rest == nil { // else it has begun
		ok, err := act.place.wait(s.life, act.dropped)
		if err != nil {
			return sandbox.Failed(sandbox.ErrorInterrupted, textStopping), nil
		}
		if !ok || !act.begin() {
			return sandbox.Failed(sandbox.ErrorInterrupted, textDropped), nil
		}
	}
	return s.performed(act.traced.in(s.life), act.Action, &act.doing)
}

// performed is perform, with an observation that was cut off by the end of the server marked as such.
func (s *Server) performed(ctx context.Context, a sandbox.Action, p *performance) (sandbox.Observation, error) {
	o, err := s.measured(ctx, a, p)
	if r, ok := o.Result.(sandbox.ErrorResult); ok && r.ErrorID == "" && err == nil && ctx.Err() != nil {
		o.Result = sandbox.ErrorResult{ErrorID: sandbox.ErrorInterrupted}
	}
	return o, err
}

// retireLocked puts an action that is done among the recent ones and forgets the oldest of those.
func (s *Server) retireLocked(act *action) {
	s.recent = append(s.recent, act)
	s.recentBytes += act.held()
	for len(s.recent) > 1 && (len(s.recent) > maxRecent || s.recentBytes > maxRecentBytes) {
		oldest := s.recent[0]
		s.recent[0] = nil
		s.recent = s.recent[1:]
		s.recentBytes -= oldest.held()
		delete(s.actions, oldest.ID)
	}
}

// interrupted is the answer to an action that the server before this one was performing when it was killed.
func interrupted(all bool) []byte {
	text := "The server of the sandbox was killed while this action was waiting or running. " +
		"How far it came is not known; it will not run again."
	if all {
		text += " Everything that it had started has been ended."
	} else {
		text += " Not everything that it had started could be ended."
	}
	return lastFrame(sandbox.Failed(sandbox.ErrorInterrupted, text), nil, 0)
}
