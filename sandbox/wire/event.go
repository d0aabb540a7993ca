package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Event is any event of an OpenHands stream, action or observation, of whatever kind and version: it keeps every member,
// known or not, as it came and in the order in which it came. It is a value: nothing changes it.
type Event struct{ list []member }

// ParseEvent reads one event, which has an action or an observation member that is a string. Anything else is Invalid. Of
// members with the same name the last counts.
func ParseEvent(b []byte) (Event, error) {
	e, err := parseEvent(b)
	if err != nil {
		return Event{}, invalid("wire.ParseEvent", err)
	}
	return e, nil
}

func parseEvent(b []byte) (Event, error) {
	var e Event
	b, err := check(b)
	if err != nil {
		return e, err
	}
	m := object(bytes.Clone(b), "an event")
	for m.next() {
		e.list = append(e.list, member{string(m.key), m.value})
	}
	if m.err != nil {
		return e, m.err
	}
	e.list = lastOfEach(e.list)
	if _, kind := e.kind(); kind == nil || kind[0] != '"' {
		//lint:ignore ST1005 the original's words
		return e, fmt.Errorf("Unknown event type: %s", repr(b))
	}
	return e, nil
}

// ActionEvent makes an event of an action.
func ActionEvent(a sandbox.Action) Event { return eventOf(AppendAction(nil, a)) }

// ObservationEvent makes an event of an observation.
func ObservationEvent(o sandbox.Observation) Event { return eventOf(AppendObservation(nil, o)) }

// eventOf reads what this package wrote; only a broken raw value of the caller's can make that no JSON.
func eventOf(b []byte) Event {
	e, err := parseEvent(b)
	if err != nil {
		return Event{}
	}
	return e
}

// Append appends the event as JSON on one line; the zero Event is {}.
func (e Event) Append(dst []byte) []byte { return appendMembers(dst, e.list) }

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) { return e.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler; it fails as ParseEvent does.
func (e *Event) UnmarshalJSON(b []byte) (err error) {
	*e, err = ParseEvent(b)
	return err
}

// Get is the JSON value of a top-level member, nil if there is none. It must not be changed.
func (e Event) Get(name string) json.RawMessage {
	for i := range e.list {
		if e.list[i].name == name {
			return e.list[i].value
		}
	}
	return nil
}

// With is e with one top-level member set, or taken away if raw is nil. raw must be JSON and is e's from now on.
func (e Event) With(name string, raw json.RawMessage) Event {
	list := slices.Clone(e.list)
	if raw == nil {
		return Event{slices.DeleteFunc(list, func(m member) bool { return m.name == name })}
	}
	return Event{put(list, name, raw)}
}

// kind gives the member that says what the event is: action goes before observation.
func (e Event) kind() (action bool, raw json.RawMessage) {
	if raw := e.Get("action"); raw != nil {
		return true, raw
	}
	return false, e.Get("observation")
}

// IsAction says whether the event is an action; else it is an observation.
func (e Event) IsAction() bool {
	action, _ := e.kind()
	return action
}

// Kind is the kind of the action or observation.
func (e Event) Kind() sandbox.Kind {
	_, raw := e.kind()
	return sandbox.Kind(text(raw))
}

// Action reads the event as ParseAction does. Code: Invalid, also if it is an observation.
func (e Event) Action() (sandbox.Action, error) { return ParseAction(e.Append(nil)) }

// Observation reads the event as ParseObservation does. Code: Invalid, also if it is an action.
func (e Event) Observation() (sandbox.Observation, error) { return ParseObservation(e.Append(nil)) }

// ID is the event's number in its stream; false if it has none.
func (e Event) ID() (int64, bool) { return number(e.Get("id")) }

// Cause is the ID of the action that the observation answers; false if it has none.
func (e Event) Cause() (int64, bool) { return number(e.Get("cause")) }

// Source is "agent", "user" or "environment"; "" if it is not said.
func (e Event) Source() string { return text(e.Get("source")) }

// Message is the event in words.
func (e Event) Message() string { return text(e.Get("message")) }

// Time is when the event was made; the zero Time if that is not said. OpenHands writes no zone: it is taken for UTC.
func (e Event) Time() time.Time {
	s := text(e.Get("timestamp"))
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} { // a fraction may follow the seconds in both
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

func text(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	s, _ := unquote(raw)
	return s
}

func number(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
