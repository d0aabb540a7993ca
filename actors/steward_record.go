package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// statusBody is a change of status as an event: OpenHands' status update, and what we know besides.
type statusBody struct {
	StatusUpdate bool           `json:"status_update"` // true
	Type         string         `json:"type"`          // "info" or "error"
	ID           sandbox.Status `json:"id"`
	Message      string         `json:"message"`

	Recovering bool         `json:"recovering,omitempty"`
	Attempt    int          `json:"attempt,omitempty"`
	Of         int          `json:"of,omitempty"`
	NextAt     time.Time    `json:"next_at,omitzero"`
	Code       sandbox.Code `json:"code,omitempty"`
	Unenforced []string     `json:"unenforced,omitempty"`
	Reported   bool         `json:"reported,omitempty"`
	Idle       Rest         `json:"idle,omitempty"`
}

// tell makes a change known: as an event, and to the embedder.
func (s *steward) tell(c *kit.Context[stewardMsg], ch Change) {
	b := statusBody{StatusUpdate: true, Type: "info", ID: ch.State.Status, Message: ch.State.Message, Reported: ch.Reported}
	if slices.Contains(failed, b.ID) || ch.Reported {
		b.Type = "error"
	}
	if !ch.Reported {
		b.Recovering, b.Attempt, b.Of, b.NextAt = ch.State.Recovering, ch.State.Attempt, ch.State.Of, ch.State.NextAt
		b.Code, b.Idle = sandbox.CodeOf(ch.State.Cause), ch.State.Idle
		if b.ID == sandbox.StatusRuntimeStarted {
			b.Unenforced = ch.State.Unenforced
		}
	}
	s.log.Info("status", "status", b.ID, "message", b.Message, "recovering", b.Recovering)
	s.record(c, journal.Record{Type: journal.TypeStatus, Time: ch.Time, Body: marshal(b)})
	if s.cfg.Notify != nil {
		s.cfg.Notify(ch)
	}
}

func (s *steward) report(c *kit.Context[stewardMsg], m report) {
	if s.ending != nil || s.fenced != nil {
		m.Err(s.down())
		return
	}
	now := s.state()
	now.Status, now.Message, now.Recovering, now.Cause = m.status, s.mask.text(m.message), false, nil
	s.tell(c, Change{ID: s.order.Spec.ID, Time: time.Now(), State: now, Reported: true})
	m.OK(struct{}{})
}

// restartBody tells why a runtime is started again.
func restartBody(e kit.ChildEvent) json.RawMessage {
	b := struct {
		Cause   string       `json:"cause"`
		Code    sandbox.Code `json:"code,omitempty"`
		Attempt int          `json:"attempt"`
		Of      int          `json:"of"`
		NextAt  time.Time    `json:"next_at"`
		Stack   string       `json:"stack,omitempty"` // of a panic
	}{Attempt: e.Attempt, Of: e.Of, NextAt: e.Next, Code: sandbox.CodeOf(e.Err)}
	if e.Err != nil {
		b.Cause = e.Err.Error()
	}
	if p, ok := errors.AsType[*kit.Panic](e.Err); ok {
		b.Stack = string(p.Stack)
	}
	return marshal(b)
}

// names tells which variables were added, and not their values.
func names(vars map[string]string) json.RawMessage {
	return marshal(map[string]any{"env": slices.Sorted(maps.Keys(vars))})
}

func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // of types of ours that have nothing to fail over
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// record puts a record into the history, in the order of the calls. Everything that happens in the steward is written in
// one task at a time, and an action is not begun before it is.
func (s *steward) record(c *kit.Context[stewardMsg], r journal.Record) {
	if s.fenced != nil {
		return
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Body = s.mask.event(r.Body)
	s.outbox = append(s.outbox, r)
	s.flush(c)
}

func (s *steward) flush(c *kit.Context[stewardMsg]) {
	if s.recording || len(s.outbox) == 0 || s.lease == nil || s.fenced != nil {
		return
	}
	recs := s.outbox
	s.outbox, s.recording = nil, true
	s.owed, s.writing = nil, s.owed
	id, epoch, store := s.order.Spec.ID, s.lease.Epoch(), s.cfg.Store
	row := s.known.row(s.order, s.now.Status, epoch)
	c.Task(func(ctx context.Context) stewardMsg {
		_, err := store.Append(ctx, id, epoch, recs...)
		if err == nil {
			err = store.SaveRuntime(ctx, row)
		}
		return recorded{err}
	})
}

// note puts events on record that somebody outside has seen.
func (s *steward) note(c *kit.Context[stewardMsg], m note) {
	if m.durable && (s.fenced != nil || s.lease == nil || s.ending != nil && s.ending.leaving) {
		m.Err(failure(sandbox.Unavailable, "runtime.Commit", s.order.Spec.ID, "its history cannot be written to now"))
		return
	}
	if s.fenced != nil { // another's history is not ours to write
		m.OK(struct{}{})
		return
	}
	if m.durable {
		s.owed = append(s.owed, m.Reply)
	}
	for _, body := range m.bodies {
		s.outbox = append(s.outbox, journal.Record{Type: m.typ, Time: time.Now(), Body: s.mask.event(body)})
	}
	s.flush(c)
	if !m.durable {
		m.OK(struct{}{})
	}
}

// refuseOwed answers those who wait for what they told to be on record, as it may be nevertheless.
func (s *steward) refuseOwed(err error) {
	for _, r := range slices.Concat(s.writing, s.owed) {
		r.Err(err)
	}
	s.writing, s.owed = nil, nil
}

func (s *steward) recorded(c *kit.Context[stewardMsg], m recorded) error {
	s.recording = false
	for _, r := range s.writing {
		if m.err != nil {
			r.Err(m.err)
		} else {
			r.OK(struct{}{})
		}
	}
	s.writing = nil
	switch sandbox.CodeOf(m.err) {
	case "":
	case sandbox.Conflict:
		return s.fence(c, m.err)
	default:
		s.log.Error("events are lost", "err", m.err)
	}
	s.flush(c)
	if s.ending != nil {
		return s.end(c)
	}
	s.next(c)
	return nil
}
