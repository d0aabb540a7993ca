package sandbox

import (
	"encoding/json"
	"time"
)

// Kind is the type word of an action or an observation, as on the wire.
type Kind string

// The kinds of action that a runtime performs.
const (
	KindRun               Kind = "run"
	KindIPython           Kind = "run_ipython"
	KindRead              Kind = "read"
	KindWrite             Kind = "write"
	KindEdit              Kind = "edit"
	KindBrowse            Kind = "browse"
	KindBrowseInteractive Kind = "browse_interactive"
	KindMCP               Kind = "call_tool_mcp"
)

// Action is a request to do something in a sandbox. It is a value: once sent, nobody changes it.
type Action struct {
	// ID makes the action run at most once: asking again with the same ID and the same body joins the running
	// action or gives the stored observation. "" lets the runtime make one. See CheckActionID.
	ID string
	// Timeout is the hard limit; 0 means none. It ends the wait, not the command, as an OpenHands timeout does.
	// A negative one has passed already.
	Timeout time.Duration
	// Session names the shell session of a run, or the kernel of a run_ipython; "" is the main one, which is always there.
	// Actions of one session are performed one at a time, those of several at the same time. See CheckSession.
	Session string
	// Args says what to do; its kind is the action's.
	Args Args
	// Meta carries the members of the event that a runtime does not interpret (id, timestamp, source, cause,
	// tool_call_metadata, …), so that they survive; JSON values by member name. May be nil.
	Meta map[string]json.RawMessage
}

// Kind is the kind of the action; "" if it has no Args.
func (a Action) Kind() Kind {
	if a.Args == nil {
		return ""
	}
	return a.Args.Kind()
}

// Args are the arguments of one kind of action: RunArgs, IPythonArgs, ReadArgs, WriteArgs, EditArgs, BrowseArgs,
// BrowseInteractiveArgs, MCPArgs, or OtherArgs. All are values, not pointers.
type Args interface{ Kind() Kind }

// RunArgs is a shell command for the persistent session, or input for what runs there.
type RunArgs struct {
	Command  string
	IsInput  bool   // Command is typed into the running program; "C-c" and the like are keys
	Blocking bool   // no soft timeout for want of output
	IsStatic bool   // in a fresh session, in Cwd
	Cwd      string // of a static command; "" is the server's working directory
	Hidden   bool   // the observation's content is not truncated
	Thought  string
}

// IPythonArgs is one Python cell.
type IPythonArgs struct {
	Code           string
	Thought        string
	IncludeExtra   bool
	KernelInitCode string
}

// ReadArgs reads a file. With Impl "oh_aci" it is the editor's view, whose ViewRange (nil or two line numbers,
// from 1, -1 = end) applies; otherwise Start and End cut lines, from 0, End exclusive, -1 = end.
type ReadArgs struct {
	Path       string
	Start, End int
	Impl       string
	ViewRange  []int
	Thought    string
}

// WriteArgs writes Content in place of the lines from Start (from 0) to End (exclusive, -1 = end) of a file.
type WriteArgs struct {
	Path, Content string
	Start, End    int
	Thought       string
}

// EditArgs is one command of the editor: view, create, str_replace, insert, undo_edit. A nil pointer is an absent argument.
type EditArgs struct {
	Path       string
	Command    string
	FileText   *string
	OldStr     *string
	NewStr     *string
	InsertLine *json.RawMessage // an integer or a numeric string
	Content    string           // Content, Start and End belong to the LLM-based editor, which the client runs itself
	Start, End int
	Impl       string
	Thought    string
}

// BrowseArgs opens a page.
type BrowseArgs struct {
	URL          string
	ReturnAXTree bool
	Thought      string
}

// BrowseInteractiveArgs is a program in the BrowserGym action vocabulary.
type BrowseInteractiveArgs struct {
	BrowserActions string
	SendMsgToUser  string
	ReturnAXTree   bool
	Thought        string
}

// MCPArgs calls a tool of an MCP server.
type MCPArgs struct {
	Name      string
	Arguments json.RawMessage // an object
	Thought   string
}

// OtherArgs is an action that no sandbox performs (think, message, finish, …): it is recorded and passed on as it came.
type OtherArgs struct {
	Type Kind
	Raw  json.RawMessage // the args member
}

// Kind implements Args.
func (RunArgs) Kind() Kind               { return KindRun }
func (IPythonArgs) Kind() Kind           { return KindIPython }
func (ReadArgs) Kind() Kind              { return KindRead }
func (WriteArgs) Kind() Kind             { return KindWrite }
func (EditArgs) Kind() Kind              { return KindEdit }
func (BrowseArgs) Kind() Kind            { return KindBrowse }
func (BrowseInteractiveArgs) Kind() Kind { return KindBrowseInteractive }
func (MCPArgs) Kind() Kind               { return KindMCP }
func (a OtherArgs) Kind() Kind           { return a.Type }
