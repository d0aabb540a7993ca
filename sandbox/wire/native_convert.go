package wire

import (
	"bytes"
	"strings"
	"time"
)

// AppendNative appends the event in the native form. It reads it as ParseAction or ParseObservation does, so arguments of
// older versions have their names of today. Code: Invalid.
func (e Event) AppendNative(dst []byte) ([]byte, error) {
	if e.IsAction() {
		a, err := e.Action()
		if err != nil {
			return dst, err
		}
		return AppendNativeAction(dst, a), nil
	}
	o, err := e.Observation()
	if err != nil {
		return dst, err
	}
	return AppendNativeObservation(dst, o, time.Time{}), nil
}

// ParseNativeEvent reads an event in the native form, action or observation. Code: Invalid.
func ParseNativeEvent(b []byte) (Event, error) {
	n, err := parseNative(b)
	if err != nil {
		return Event{}, invalid("event", err)
	}
	if !strings.HasPrefix(n.kind, observationPrefix) {
		a, err := n.action()
		if err != nil {
			return Event{}, invalid("event", err)
		}
		return ActionEvent(a), nil
	}
	o, err := n.observation()
	if err != nil {
		return Event{}, invalid("event", err)
	}
	return ObservationEvent(o), nil
}

// IsNative says whether an action or observation that a peer sent is in the native form: it has a type, where the
// OpenHands form has an action or observation. What is no event is not.
func IsNative(b []byte) bool {
	if bytes.HasPrefix(b, nativeStart) {
		return true
	}
	b, err := check(b)
	if err != nil {
		return false
	}
	typ := false
	m := object(b, "an event")
	for m.next() {
		switch string(m.key) {
		case "action", "observation":
			return false
		case "type":
			typ = true
		}
	}
	return typ
}

// nativeStart is how AppendNativeObservation begins; AppendObservation never begins so.
var nativeStart = []byte(`{"type":"`)

// ReformObservation gives the observation in a server's answer, which this package wrote, in the form wanted: b itself if
// it is in that form. In the OpenHands form a server's observation has neither time nor source.
func ReformObservation(b []byte, native bool) []byte {
	if bytes.HasPrefix(b, nativeStart) == native {
		return b
	}
	if native {
		if o, err := ParseObservation(b); err == nil {
			return AppendNativeObservation(nil, o, time.Time{})
		}
	} else if o, err := ParseNativeObservation(b); err == nil {
		delete(o.Meta, "timestamp")
		delete(o.Meta, "source")
		return AppendObservation(nil, o)
	}
	return b // not ours after all: its reader will say what it thinks of it
}
