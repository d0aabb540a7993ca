package wire

import "errors"

// RequestEvent gives the event in the body of an OpenHands request, {"action":{…}}, for ParseAction. Anything else is
// Invalid; the original answers it with status 422 rather than 500. The result is part of b.
func RequestEvent(b []byte) ([]byte, error) {
	b, err := check(b)
	if err != nil {
		return nil, invalid("wire.RequestEvent", err)
	}
	var event []byte
	m := object(b, "the body")
	for m.next() {
		if string(m.key) == "action" {
			event = m.value
		}
	}
	switch {
	case m.err != nil:
		return nil, invalid("wire.RequestEvent", m.err)
	case event == nil:
		return nil, invalid("wire.RequestEvent", errors.New("'action' is required"))
	case event[0] != '{':
		return nil, invalid("wire.RequestEvent", errors.New("'action' must be an object, not "+kindOf(event)))
	}
	return event, nil
}
