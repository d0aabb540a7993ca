package wire

import (
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// A class is what OpenHands knows of one kind of action: the name of its Python class, which stands in messages of
// failure, the arguments that it must have and those that it may have.
type class struct {
	kind         sandbox.Kind
	name         string
	needs, takes []string
}

// classes lists every kind of action, in the order in which OpenHands names them.
var classes = []class{
	{"null", "NullAction", nil, nil},
	{sandbox.KindRun, "CmdRunAction", words("command"),
		words("is_input thought blocking is_static cwd hidden confirmation_state security_risk")},
	{sandbox.KindIPython, "IPythonRunCellAction", words("code"),
		words("thought include_extra confirmation_state security_risk kernel_init_code")},
	{sandbox.KindBrowse, "BrowseURLAction", words("url"), words("thought security_risk return_axtree")},
	{sandbox.KindBrowseInteractive, "BrowseInteractiveAction", words("browser_actions"),
		words("thought browsergym_send_msg_to_user security_risk return_axtree")},
	{sandbox.KindRead, "FileReadAction", words("path"), words("start end thought security_risk impl_source view_range")},
	{sandbox.KindWrite, "FileWriteAction", words("path content"), words("start end thought security_risk")},
	{sandbox.KindEdit, "FileEditAction", words("path"),
		words("command file_text old_str new_str insert_line content start end thought security_risk impl_source")},
	{"think", "AgentThinkAction", nil, words("thought")},
	{"finish", "AgentFinishAction", nil, words("final_thought outputs thought")},
	{"reject", "AgentRejectAction", nil, words("outputs thought")},
	{"delegate", "AgentDelegateAction", words("agent inputs"), words("thought")},
	{"recall", "RecallAction", words("recall_type"), words("query thought")},
	{"change_agent_state", "ChangeAgentStateAction", words("agent_state"), words("thought")},
	{"message", "MessageAction", words("content"), words("file_urls image_urls wait_for_response security_risk")},
	{"system", "SystemMessageAction", words("content"), words("tools openhands_version agent_class")},
	{"condensation", "CondensationAction", nil,
		words("forgotten_event_ids forgotten_events_start_id forgotten_events_end_id summary summary_offset")},
	{"condensation_request", "CondensationRequestAction", nil, nil},
	{sandbox.KindMCP, "MCPAction", words("name"), words("arguments thought security_risk")},
	{"task_tracking", "TaskTrackingAction", nil, words("command task_list thought")},
	{"loop_recovery", "LoopRecoveryAction", nil, words("option")},
}

func words(s string) []string { return strings.Fields(s) }

// classOf gives the class of kind, nil if there is none.
func classOf(kind sandbox.Kind) *class {
	for i := range classes {
		if classes[i].kind == kind {
			return &classes[i]
		}
	}
	return nil
}

// Runnable says whether actions of kind k are for a sandbox; the others are recorded and passed on.
func Runnable(k sandbox.Kind) bool {
	switch k {
	case sandbox.KindRun, sandbox.KindIPython, sandbox.KindRead, sandbox.KindWrite, sandbox.KindEdit,
		sandbox.KindBrowse, sandbox.KindBrowseInteractive, sandbox.KindMCP:
		return true
	}
	return false
}
