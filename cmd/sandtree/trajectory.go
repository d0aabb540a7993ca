package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// trajectory makes OpenHands events of records.
type trajectory struct {
	events []wire.Event
	causes map[string]int // number of an action's event by the action's id
}

// openHandsTime is how OpenHands writes times: local, without zone. Ours are UTC.
const openHandsTime = "2006-01-02T15:04:05.000000"

// add takes a record over: actions, observations, and actions that were only recorded. Numbers and times are those of
// this run, whatever the events brought from another one.
func (t *trajectory) add(r journal.Record) error {
	switch r.Type {
	case journal.TypeAction, journal.TypeObservation:
	case journal.TypeNote:
		if r.ActionID == "" {
			return nil // of ours, and no event of theirs
		}
	default:
		return nil
	}
	e, err := wire.ParseEvent(r.Body)
	if err != nil {
		return fmt.Errorf("event %d: %w", r.Seq, err)
	}
	n := len(t.events)
	head := []member{
		{"id", json.RawMessage(strconv.Itoa(n))},
		{"timestamp", quoted(r.Time.UTC().Format(openHandsTime))},
		{"source", quoted(cmp.Or(e.Source(), "agent"))},
	}
	var cause json.RawMessage
	if of, ok := t.causes[r.ActionID]; ok && !e.IsAction() {
		cause = json.RawMessage(strconv.Itoa(of))
	}
	if e.IsAction() {
		if t.causes == nil {
			t.causes = map[string]int{}
		}
		t.causes[r.ActionID] = n
	}
	e, err = withHead(e.With("cause", cause), head)
	t.events = append(t.events, e)
	return err
}

type member struct {
	name  string
	value json.RawMessage
}

// withHead is e with members that stand before all others, as OpenHands writes these.
func withHead(e wire.Event, head []member) (wire.Event, error) {
	b := []byte{'{'}
	for _, m := range head {
		b = fmt.Appendf(b, "%q:%s,", m.name, m.value)
		e = e.With(m.name, nil)
	}
	return wire.ParseEvent(append(b, e.Append(nil)[1:]...)) // which has an action or an observation, so a comma is right
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string can be encoded
	return b
}

// clock is a time of day for people who look on.
func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }
