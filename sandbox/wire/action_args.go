package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// Names in Meta of the arguments that every kind may bring and no runtime interprets.
const (
	metaRisk         = "args.security_risk"
	metaConfirmation = "args.confirmation_state"
)

// errLegacy says that an argument is of an older version and must be rewritten first.
var errLegacy = errors.New("arguments of an older version")

// other takes an argument that the kind's own type has no field for.
func (m *members) other(c *class, a *sandbox.Action) {
	key := string(m.key)
	switch {
	case m.native && !slices.Contains(c.takes, key):
		m.err = fmt.Errorf("the content of %s has no member %.80q: it has %s", c.kind, key, strings.Join(slices.Concat(c.needs, c.takes), ", "))
	case !slices.Contains(c.takes, key):
		if m.err = fmt.Errorf("%s.__init__() got an unexpected keyword argument '%s'", c.name, key); isLegacy(key) {
			m.err = errLegacy
		}
	case key == "security_risk":
		switch string(m.value) {
		case "0", "1", "2":
			m.keep(&a.Meta, "args.")
		default: // -1, unknown; and so is what is no risk at all
			delete(a.Meta, metaRisk)
		}
	case string(m.value) == `"confirmed"`: // confirmation_state is what is left
		delete(a.Meta, metaConfirmation)
	default:
		m.keep(&a.Meta, "args.")
	}
}

func (m *members) run(c *class, a *sandbox.Action) (args sandbox.RunArgs) {
	for m.next() {
		switch string(m.key) {
		case "command":
			args.Command = m.text()
		case "is_input":
			args.IsInput = m.flag(false)
		case "thought":
			args.Thought = m.text()
		case "blocking":
			args.Blocking = m.flag(false)
		case "is_static":
			args.IsStatic = m.flag(false)
		case "cwd":
			args.Cwd = m.text()
		case "hidden":
			args.Hidden = m.flag(false)
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) ipython(c *class, a *sandbox.Action) sandbox.IPythonArgs {
	args := sandbox.IPythonArgs{IncludeExtra: true}
	for m.next() {
		switch string(m.key) {
		case "code":
			args.Code = m.text()
		case "thought":
			args.Thought = m.text()
		case "include_extra":
			args.IncludeExtra = m.flag(true)
		case "kernel_init_code":
			args.KernelInitCode = m.text()
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) read(c *class, a *sandbox.Action) sandbox.ReadArgs {
	args := sandbox.ReadArgs{End: -1, Impl: implDefault}
	for m.next() {
		switch string(m.key) {
		case "path":
			args.Path = m.text()
		case "start":
			args.Start = m.integer(0)
		case "end":
			args.End = m.integer(-1)
		case "thought":
			args.Thought = m.text()
		case "impl_source":
			args.Impl = cmp.Or(m.text(), implDefault)
		case "view_range":
			args.ViewRange = m.integers()
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) write(c *class, a *sandbox.Action) sandbox.WriteArgs {
	args := sandbox.WriteArgs{End: -1}
	for m.next() {
		switch string(m.key) {
		case "path":
			args.Path = m.text()
		case "content":
			args.Content = m.text()
		case "start":
			args.Start = m.integer(0)
		case "end":
			args.End = m.integer(-1)
		case "thought":
			args.Thought = m.text()
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) edit(c *class, a *sandbox.Action) sandbox.EditArgs {
	args := sandbox.EditArgs{Start: 1, End: -1, Impl: implEditor}
	for m.next() {
		switch string(m.key) {
		case "path":
			args.Path = m.text()
		case "command":
			args.Command = m.text()
		case "file_text":
			args.FileText = m.textOrNil()
		case "old_str":
			args.OldStr = m.textOrNil()
		case "new_str":
			args.NewStr = m.textOrNil()
		case "insert_line":
			if args.InsertLine = nil; !m.null() {
				raw := oneLine(m.value)
				args.InsertLine = &raw
			}
		case "content":
			args.Content = m.text()
		case "start":
			args.Start = m.integer(1)
		case "end":
			args.End = m.integer(-1)
		case "thought":
			args.Thought = m.text()
		case "impl_source":
			args.Impl = cmp.Or(m.text(), implEditor)
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) browse(c *class, a *sandbox.Action) (args sandbox.BrowseArgs) {
	for m.next() {
		switch string(m.key) {
		case "url":
			args.URL = m.text()
		case "thought":
			args.Thought = m.text()
		case "return_axtree":
			args.ReturnAXTree = m.flag(false)
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) browseInteractive(c *class, a *sandbox.Action) (args sandbox.BrowseInteractiveArgs) {
	for m.next() {
		switch string(m.key) {
		case "browser_actions":
			args.BrowserActions = m.text()
		case "thought":
			args.Thought = m.text()
		case "browsergym_send_msg_to_user":
			args.SendMsgToUser = m.text()
		case "return_axtree":
			args.ReturnAXTree = m.flag(false)
		default:
			m.other(c, a)
		}
	}
	return args
}

func (m *members) mcp(c *class, a *sandbox.Action) sandbox.MCPArgs {
	args := sandbox.MCPArgs{Arguments: json.RawMessage("{}")}
	for m.next() {
		switch string(m.key) {
		case "name":
			args.Name = m.text()
		case "arguments":
			args.Arguments = m.object()
		case "thought":
			args.Thought = m.text()
		default:
			m.other(c, a)
		}
	}
	return args
}
