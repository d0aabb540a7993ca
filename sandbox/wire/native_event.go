package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// The native form of an event, version 2:
//
//	{"type":"run","content":{"command":"ls"},"timestamp":"2026-01-02T03:04:05.678Z","source":"agent","timeout":10.0}
//	{"type":"observation.run","content":{"text":"a","extras":{"command":"ls","metadata":{"exit_code":0}}},
//	 "timestamp":"2026-01-02T03:04:05.7Z","source":"runtime"}
//
// type is the kind, with observationPrefix if the event is an observation. content is, of an action, its arguments under
// their OpenHands names, those that have their default left out; of an observation, its text and its extras. timestamp is
// RFC 3339 in UTC, source says who speaks. Both may be absent in a request; a server's answer has them. Optional are id
// and cause (the event's number in its stream, and that of the action it answers), session, timeout (seconds), and meta:
// what else the OpenHands form of the event has, under its name there. Members at their derived value (message, success)
// are left out. So each form says all that the other does, and an event that went from one to the other and back is the same.
const observationPrefix = "observation."

// AppendNativeAction appends a in the native form. a.ID is not part of it: it stands in the path.
func AppendNativeAction(dst []byte, a sandbox.Action) []byte {
	dst = appendText(append(dst, `{"type":"`...), string(a.Kind()))
	dst = appendNativeArgs(append(dst, `","content":`...), a)
	dst = appendNativeTop(dst, a.Meta)
	if a.Session != "" {
		dst = appendString(append(dst, `,"session":`...), a.Session)
	}
	if a.Timeout != 0 {
		dst = appendTimeout(append(dst, `,"timeout":`...), a.Timeout)
	}
	if len(a.Meta) > 0 {
		dst = appendNativeMeta(dst, a.Meta, func(name string, raw []byte) bool {
			switch name {
			case "action", "args", "session", "timeout":
				return false
			case "message":
				var buf [256]byte
				return string(appendActionMessage(buf[:0], a.Args)) != string(raw)
			}
			return true
		})
	}
	return append(dst, '}')
}

// ParseNativeAction reads an action in the native form. It is strict: the type must be known, the content complete and
// without anything else, and no member may be unknown. Every failure is Invalid and says what to change.
func ParseNativeAction(b []byte) (sandbox.Action, error) {
	n, err := parseNative(b)
	var a sandbox.Action
	if err == nil {
		a, err = n.action()
	}
	if err != nil {
		return sandbox.Action{}, invalid("action", err)
	}
	return a, nil
}

// AppendNativeObservation appends o in the native form. made is its timestamp if Meta has none, and then the runtime its
// source if Meta has none of that either; the zero Time leaves both as they are in Meta.
func AppendNativeObservation(dst []byte, o sandbox.Observation, made time.Time) []byte {
	dst = appendText(append(dst, `{"type":"`+observationPrefix...), string(o.Kind()))
	dst = appendString(append(dst, `","content":{"text":`...), o.Content)
	before := len(dst)
	dst = append(dst, `,"extras":`...)
	extras := len(dst)
	if dst = appendNativeExtras(dst, o); string(dst[extras:]) == "{}" {
		dst = dst[:before]
	}
	dst = appendNativeTop(append(dst, '}'), o.Meta)
	if !made.IsZero() {
		if o.Meta["timestamp"] == nil {
			dst = made.UTC().AppendFormat(append(dst, `,"timestamp":"`...), time.RFC3339Nano)
			dst = append(dst, '"')
		}
		if o.Meta["source"] == nil {
			dst = append(dst, `,"source":"runtime"`...)
		}
	}
	if len(o.Meta) > 0 {
		dst = appendNativeMeta(dst, o.Meta, func(name string, raw []byte) bool {
			switch {
			case slices.Contains(observationNames, name):
				return false
			case name == "success":
				return string(raw) != derivedSuccess(o.Result)
			case name == "message":
				var buf [256]byte
				return string(appendObservationMessage(buf[:0], o)) != string(raw)
			}
			return true
		})
	}
	return append(dst, '}')
}

// ParseNativeObservation reads an observation in the native form, as leniently as ParseObservation does. Code: Invalid.
func ParseNativeObservation(b []byte) (sandbox.Observation, error) {
	n, err := parseNative(b)
	var o sandbox.Observation
	if err == nil {
		o, err = n.observation()
	}
	if err != nil {
		return sandbox.Observation{}, invalid("observation", err)
	}
	return o, nil
}

// observationNames are what an observation is made of in the OpenHands form; no Meta has them.
var observationNames = []string{"observation", "content", "extras"}

// native is the first look at a native event.
type native struct {
	kind                             string
	content, session, timeout, below []byte
	meta                             meta
	unknown                          string // the first member that the form does not have
}

func parseNative(b []byte) (n native, err error) {
	if b, err = check(b); err != nil {
		return n, err
	}
	m := object(b, "an event")
	for m.next() {
		switch string(m.key) {
		case "type":
			n.kind = m.text()
		case "content":
			n.content = m.value
		case "timestamp":
			m.timestamp(&n.meta)
		case "source":
			m.source(&n.meta)
		case "id", "cause":
			if !isLabel(m.value) {
				m.fail("an integer or a string")
			}
			m.keep(&n.meta, "")
		case "session":
			n.session = m.value
		case "timeout":
			n.timeout = m.value
		case "meta":
			if n.below = m.value; n.below[0] != '{' {
				m.fail("an object")
			}
		default:
			if n.unknown == "" {
				n.unknown = string(m.key)
			}
			m.keep(&n.meta, "")
		}
	}
	if m.err == nil && n.kind == "" {
		m.err = errors.New("an event needs a 'type'")
	}
	return n, m.err
}

func (n *native) action() (a sandbox.Action, err error) {
	c := classOf(sandbox.Kind(n.kind))
	switch {
	case strings.HasPrefix(n.kind, observationPrefix):
		return a, fmt.Errorf("%q is an observation, not an action", n.kind)
	case c == nil:
		return a, fmt.Errorf("there is no action of type %.80q", n.kind)
	case n.unknown != "":
		return a, fmt.Errorf("an action has no member %.80q: what is not for the sandbox goes into 'meta'", n.unknown)
	}
	if n.session != nil {
		m := members{key: []byte("session"), value: n.session}
		if a.Session = m.sessionName(); m.err != nil {
			return a, m.err
		}
	}
	if n.timeout != nil {
		m := members{key: []byte("timeout"), value: n.timeout}
		if a.Timeout = m.timeout(); m.err != nil {
			return a, m.err
		}
	}
	if a.Meta, err = n.merged(true, "action", "args", "session", "timeout"); err != nil {
		return a, err
	}
	if n.content == nil {
		n.content = []byte("{}")
	}
	if err := c.parse(&a, n.content, true); err != nil {
		return a, err
	}
	if raw := a.Meta["message"]; raw != nil {
		var buf [256]byte
		if string(appendActionMessage(buf[:0], a.Args)) == string(raw) {
			a.Meta = without(a.Meta, "message")
		}
	}
	return a, nil
}

func (n *native) observation() (o sandbox.Observation, err error) {
	kind, ok := strings.CutPrefix(n.kind, observationPrefix)
	if !ok {
		return o, fmt.Errorf("%.80q is an action, not an observation", n.kind)
	}
	if n.session != nil { // this and the next are an action's: here they mean nothing
		n.meta = with(n.meta, "session", n.session)
	}
	if n.timeout != nil {
		n.meta = with(n.meta, "timeout", n.timeout)
	}
	for _, name := range observationNames { // members of the other form, which mean nothing in this one
		n.meta = without(n.meta, name)
	}
	if o.Meta, err = n.merged(false, observationNames...); err != nil {
		return o, err
	}
	extras := []byte("{}")
	if n.content != nil {
		m := object(n.content, "content")
		for m.next() {
			switch string(m.key) {
			case "text":
				o.Content = m.lenient()
			case "extras":
				extras = m.value
			}
		}
		if m.err != nil {
			return o, m.err
		}
	}
	if err := parseExtras(&o, sandbox.Kind(kind), extras); err != nil {
		return o, err
	}
	if raw := o.Meta["success"]; raw != nil && string(raw) == derivedSuccess(o.Result) {
		o.Meta = without(o.Meta, "success")
	}
	if raw := o.Meta["message"]; raw != nil {
		var buf [256]byte
		if string(appendObservationMessage(buf[:0], o)) == string(raw) {
			o.Meta = without(o.Meta, "message")
		}
	}
	return o, nil
}

// merged adds what stands in the event's meta to what stands in the event itself, which goes before.
func (n *native) merged(strict bool, except ...string) (meta, error) {
	if n.below == nil {
		return n.meta, nil
	}
	m := object(n.below, "meta")
	for m.next() {
		key := string(m.key)
		if _, there := n.meta[key]; there || slices.Contains(except, key) {
			continue
		}
		if strict {
			m.envelope(&n.meta)
		} else {
			m.keep(&n.meta, "")
		}
	}
	return n.meta, m.err
}
