package sandbox

import "encoding/json"

// The kinds of observation that a runtime makes. KindRun, KindIPython, KindRead, KindWrite, KindEdit and KindBrowse
// name observations too.
const (
	KindMCPResult Kind = "mcp"
	KindError     Kind = "error"
	KindNull      Kind = "null"
	KindSuccess   Kind = "success"
)

// Observation is what was seen when an action was performed.
type Observation struct {
	Content string
	// Result holds what is particular to the kind of observation; its kind is the observation's.
	Result Result
	// Meta carries the members of the event that a runtime does not interpret, as Action.Meta does. May be nil.
	Meta map[string]json.RawMessage
}

// Kind is the kind of the observation; KindNull if it has no Result.
func (o Observation) Kind() Kind {
	if o.Result == nil {
		return KindNull
	}
	return o.Result.Kind()
}

// Result is the part of an observation that depends on its kind: RunResult, IPythonResult, ReadResult, WriteResult,
// EditResult, BrowseResult, MCPResult, ErrorResult, SuccessResult, NullResult, or OtherResult. All are values.
type Result interface{ Kind() Kind }

// RunResult belongs to a shell command.
type RunResult struct {
	Command  string
	Hidden   bool
	Metadata RunMetadata
}

// RunMetadata tells of the shell after a command. Observations made before the command ended (timeouts, refusals) have
// ExitCode and PID -1 and nil pointers.
type RunMetadata struct {
	ExitCode   int
	PID        int // of the latest background job ($!); -1 if there was none
	Username   *string
	Hostname   *string
	WorkingDir *string
	PyPath     *string // of the python that a command would find
	Prefix     string  // to be shown before the content
	Suffix     string  // to be shown after it
}

// IPythonResult belongs to a cell of Python, or of another kernel's language.
type IPythonResult struct {
	Code      string
	ImageURLs []string // data URIs; nil where there is no image
	// Displays is what the cell showed in other forms than text and images: a JSON array with an object for each, of
	// values by media type as Jupyter has them. Nil where there is nothing. OpenHands' clients are not to be sent it.
	Displays json.RawMessage
}

// ReadResult belongs to a read; Impl is "default" or "oh_aci".
type ReadResult struct{ Path, Impl string }

// WriteResult belongs to a write.
type WriteResult struct{ Path string }

// EditResult belongs to an edit.
type EditResult struct {
	Path       string
	PrevExist  bool
	OldContent *string
	NewContent *string
	Impl       string
	Diff       *string
}

// BrowseResult belongs to both browse actions: the extras of the browser's observation, kept as they come.
type BrowseResult struct{ Extras json.RawMessage }

// MCPResult belongs to a tool call.
type MCPResult struct {
	Name      string
	Arguments json.RawMessage
}

// ErrorResult marks an observation that tells of a failure: the tool said no, the sandbox died, the policy refused.
type ErrorResult struct{ ErrorID string }

// ErrorInterrupted is the ErrorID of an action that was running when its sandbox died, or that was sent and whose fate
// nobody can tell. It will not run again, and it has no effect later than its observation.
const ErrorInterrupted = "interrupted"

// SuccessResult and NullResult carry nothing.
type (
	SuccessResult struct{}
	NullResult    struct{}
)

// OtherResult is an observation that no sandbox makes (agent_state_changed, recall, …): passed on as it came.
type OtherResult struct {
	Type   Kind
	Extras json.RawMessage
}

// Kind implements Result.
func (RunResult) Kind() Kind     { return KindRun }
func (IPythonResult) Kind() Kind { return KindIPython }
func (ReadResult) Kind() Kind    { return KindRead }
func (WriteResult) Kind() Kind   { return KindWrite }
func (EditResult) Kind() Kind    { return KindEdit }
func (BrowseResult) Kind() Kind  { return KindBrowse }
func (MCPResult) Kind() Kind     { return KindMCPResult }
func (ErrorResult) Kind() Kind   { return KindError }
func (SuccessResult) Kind() Kind { return KindSuccess }
func (NullResult) Kind() Kind    { return KindNull }
func (r OtherResult) Kind() Kind { return r.Type }

// Failed makes the observation of an action that could not be performed as asked.
func Failed(id, text string) Observation {
	return Observation{Content: text, Result: ErrorResult{ErrorID: id}}
}

// Interrupted says whether o tells that its action was cut off by the death of its sandbox.
func (o Observation) Interrupted() bool {
	r, ok := o.Result.(ErrorResult)
	return ok && r.ErrorID == ErrorInterrupted
}
