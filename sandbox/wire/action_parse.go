package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// ParseAction reads one action as strictly as OpenHands' server does: the kind must be known, arguments must be known,
// complete and of the right type, and the source and both metadata objects well formed. Arguments of older versions are
// renamed or dropped. Every failure is Invalid, and its Err has the text that goes into that server's answer.
//
// The result's ID is empty: an event's id is no action id and stays in Meta. A message that says no more than what
// AppendAction makes of the arguments is dropped.
func ParseAction(b []byte) (sandbox.Action, error) {
	a, err := parseAction(b)
	if err != nil {
		return sandbox.Action{}, invalid("wire.ParseAction", err)
	}
	return a, nil
}

// event is the first look at an action or observation.
type event struct {
	kind    []byte // the value of its action or observation member, as it stands; nil if it has none
	inner   []byte // args or extras
	message []byte
}

func parseAction(b []byte) (sandbox.Action, error) {
	var a sandbox.Action
	b, err := check(b)
	if err != nil {
		return a, err
	}
	var e event
	m := object(b, "an action")
	for m.next() {
		switch string(m.key) {
		case "action":
			e.kind = m.value
		case "args":
			e.inner = m.value
		case "message":
			e.message = m.value
		case "timeout":
			a.Timeout = m.timeout()
		case "session":
			a.Session = m.sessionName()
		default:
			m.envelope(&a.Meta)
		}
	}
	switch {
	case e.kind == nil && m.err == nil && a.Meta["observation"] != nil:
		return a, errors.New("400: Invalid action type")
	case e.kind == nil && m.err == nil:
		//lint:ignore ST1005 the original's words
		return a, fmt.Errorf("Unknown event type: %s", repr(b))
	case m.err != nil:
		return a, m.err
	}
	c, err := classOfRaw(e.kind)
	if err != nil {
		return a, err
	}
	if e.inner == nil {
		e.inner = []byte("{}")
	}
	if err := c.parse(&a, e.inner, false); err != nil {
		return a, fmt.Errorf("action=%s has the wrong arguments: %w", repr(b), err)
	}
	if e.message != nil {
		var buf [256]byte
		if derived := appendActionMessage(buf[:0], a.Args); string(derived) != string(e.message) {
			a.Meta = with(a.Meta, "message", e.message)
		}
	}
	return a, nil
}

// envelope keeps a member that is not ours to interpret, after the checks that the original makes.
func (m *members) envelope(into *meta) {
	switch string(m.key) {
	case "source":
		switch string(m.value) {
		case `"agent"`, `"user"`, `"environment"`:
		default:
			m.err = fmt.Errorf("%s is not a valid EventSource", repr(m.value))
		}
	case "tool_call_metadata", "llm_metrics":
		if m.value[0] != '{' && !m.null() {
			m.fail("an object")
		}
	}
	m.keep(into, "")
}

func classOfRaw(raw []byte) (*class, error) {
	if raw[0] == '"' {
		kind, _ := unquote(raw)
		if c := classOf(sandbox.Kind(kind)); c != nil {
			return c, nil
		}
	}
	var names strings.Builder
	for i, c := range classes {
		if i > 0 {
			names.WriteString(", ")
		}
		names.WriteString("'" + string(c.kind) + "'")
	}
	return nil, fmt.Errorf("'action['action']=%s' is not defined. Available actions: dict_keys([%s])", repr(raw), names.String())
}

// parse reads args into a. Those of the native form are none of an older version.
func (c *class) parse(a *sandbox.Action, args []byte, native bool) error {
	m := object(args, "args")
	m.needs, m.native = c.needs, native
	switch c.kind {
	case sandbox.KindRun:
		a.Args = m.run(c, a)
	case sandbox.KindIPython:
		a.Args = m.ipython(c, a)
	case sandbox.KindRead:
		a.Args = m.read(c, a)
	case sandbox.KindWrite:
		a.Args = m.write(c, a)
	case sandbox.KindEdit:
		a.Args = m.edit(c, a)
	case sandbox.KindBrowse:
		a.Args = m.browse(c, a)
	case sandbox.KindBrowseInteractive:
		a.Args = m.browseInteractive(c, a)
	case sandbox.KindMCP:
		a.Args = m.mcp(c, a)
	default:
		for m.next() {
			if !slices.Contains(c.needs, string(m.key)) && !slices.Contains(c.takes, string(m.key)) {
				m.other(c, a)
			}
		}
		a.Args = sandbox.OtherArgs{Type: c.kind, Raw: oneLine(args)}
	}
	if m.err == nil {
		m.err = c.missing(m.seen, native)
	}
	if errors.Is(m.err, errLegacy) {
		return c.parse(a, modern(args), false)
	}
	return m.err
}

// missing says which needed arguments were not seen; in the OpenHands form as Python does.
func (c *class) missing(seen uint, native bool) error {
	var missing []string
	for i, name := range c.needs {
		if seen&(1<<i) == 0 {
			missing = append(missing, "'"+name+"'")
		}
	}
	switch n := len(missing); {
	case n == 0:
		return nil
	case native:
		return fmt.Errorf("the content of %s lacks %s", c.kind, strings.Join(missing, " and "))
	case n == 1:
		return fmt.Errorf("%s.__init__() missing 1 required positional argument: %s", c.name, missing[0])
	default:
		return fmt.Errorf("%s.__init__() missing %d required positional arguments: %s", c.name, n, strings.Join(missing, " and "))
	}
}
