package wire

import (
	"fmt"

	"github.com/sandtree/sandtree/sandbox"
)

// ParseObservation reads one observation of any kind. It is lenient: absent extras have their defaults, unknown members
// and extras are kept in Meta, and an unknown kind is an OtherResult. What is not JSON, is no observation, or has a
// member of the wrong type is Invalid. A message that says no more than what AppendObservation makes is dropped.
func ParseObservation(b []byte) (sandbox.Observation, error) {
	o, err := parseObservation(b)
	if err != nil {
		return sandbox.Observation{}, invalid("wire.ParseObservation", err)
	}
	return o, nil
}

func parseObservation(b []byte) (sandbox.Observation, error) {
	var o sandbox.Observation
	b, err := check(b)
	if err != nil {
		return o, err
	}
	var e event
	var success []byte
	m := object(b, "an observation")
	for m.next() {
		switch string(m.key) {
		case "observation":
			if e.kind = m.value; e.kind[0] != '"' {
				m.fail("a string")
			}
		case "content":
			o.Content = m.lenient()
		case "extras":
			e.inner = m.value
		case "message":
			e.message = m.value
		case "success":
			success = m.value
		default:
			m.keep(&o.Meta, "")
		}
	}
	if m.err != nil {
		return o, m.err
	}
	if e.kind == nil {
		//lint:ignore ST1005 the original's words
		return o, fmt.Errorf("Unknown event type: %s", repr(b))
	}
	if e.inner == nil || e.inner[0] == 'n' {
		e.inner = []byte("{}")
	}
	kind, _ := unquote(e.kind)
	if err := parseExtras(&o, sandbox.Kind(kind), e.inner); err != nil {
		return o, err
	}
	if success != nil && string(success) != derivedSuccess(o.Result) {
		o.Meta = with(o.Meta, "success", success)
	}
	if e.message != nil {
		var buf [256]byte
		if derived := appendObservationMessage(buf[:0], o); string(derived) != string(e.message) {
			o.Meta = with(o.Meta, "message", e.message)
		}
	}
	return o, nil
}

func parseExtras(o *sandbox.Observation, kind sandbox.Kind, extras []byte) error {
	m := object(extras, "extras")
	switch kind {
	case sandbox.KindRun:
		o.Result = m.runResult(&o.Meta)
	case sandbox.KindIPython:
		o.Result = m.ipythonResult(&o.Meta)
	case sandbox.KindRead:
		o.Result = m.readResult(&o.Meta)
	case sandbox.KindWrite:
		o.Result = m.writeResult(&o.Meta)
	case sandbox.KindEdit:
		o.Result = m.editResult(&o.Meta)
	case sandbox.KindMCPResult:
		o.Result = m.mcpResult(&o.Meta)
	case sandbox.KindError:
		o.Result = m.errorResult(&o.Meta)
	case sandbox.KindBrowse:
		o.Result = sandbox.BrowseResult{Extras: oneLine(extras)}
	case sandbox.KindSuccess, sandbox.KindNull:
		if o.Result = (sandbox.SuccessResult{}); kind == sandbox.KindNull {
			o.Result = sandbox.NullResult{}
		}
		for m.next() {
			m.keep(&o.Meta, "extras.")
		}
	default:
		o.Result = sandbox.OtherResult{Type: kind, Extras: oneLine(extras)}
	}
	return m.err
}
