package wire

import (
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
)

// The values of impl_source: the plain reader and the editor.
const (
	implDefault = "default"
	implEditor  = "oh_aci"
)

// AppendAction appends a as an event: every argument with its value or default, in the order that OpenHands writes them,
// and the message that it makes of them unless Meta has another; session, which OpenHands does not know, only if there is
// one. a.ID is not part of it. Text that is not UTF-8 gets
// U+FFFD for each bad byte.
func AppendAction(dst []byte, a sandbox.Action) []byte {
	dst = appendEnvelope(dst, a.Meta)
	dst = append(dst, `"message":`...)
	if raw := a.Meta["message"]; raw != nil {
		dst = appendRaw(dst, raw)
	} else {
		dst = appendActionMessage(dst, a.Args)
	}
	dst = append(dst, ',')
	dst = appendMember(dst, a.Meta, "cause")
	dst = append(dst, `"action":`...)
	dst = appendString(dst, string(a.Kind()))
	dst = append(dst, ',')
	dst = appendMember(dst, a.Meta, "tool_call_metadata")
	dst = appendMember(dst, a.Meta, "llm_metrics")
	dst = append(dst, `"args":`...)
	dst = appendArgs(dst, a)
	if a.Timeout != 0 {
		dst = append(dst, `,"timeout":`...)
		dst = appendTimeout(dst, a.Timeout)
	}
	if a.Session != "" {
		dst = appendString(append(dst, `,"session":`...), a.Session)
	}
	dst = appendRest(dst, a.Meta, "", "id", "timestamp", "source", "message", "cause", "action", "tool_call_metadata", "llm_metrics", "args", "timeout", "session")
	return append(dst, '}')
}

// appendEnvelope opens the event and appends what stands before the message.
func appendEnvelope(dst []byte, from meta) []byte {
	dst = append(dst, '{')
	dst = appendMember(dst, from, "id")
	dst = appendMember(dst, from, "timestamp")
	return appendMember(dst, from, "source")
}

// appendActionMessage appends what OpenHands says of an action, as a JSON string.
func appendActionMessage(dst []byte, args sandbox.Args) []byte {
	dst = append(dst, '"')
	switch args := args.(type) {
	case sandbox.RunArgs:
		dst = appendText(append(dst, "Running command: "...), args.Command)
	case sandbox.IPythonArgs:
		dst = appendText(append(dst, "Running Python code interactively: "...), args.Code)
	case sandbox.ReadArgs:
		dst = appendText(append(dst, "Reading file: "...), args.Path)
	case sandbox.WriteArgs:
		dst = appendText(append(dst, "Writing file: "...), args.Path)
	case sandbox.BrowseArgs:
		dst = appendText(append(dst, "I am browsing the URL: "...), args.URL)
	case sandbox.BrowseInteractiveArgs:
		dst = appendText(append(dst, "I am interacting with the browser:\\n```\\n"...), args.BrowserActions)
		dst = append(dst, "\\n```"...)
	}
	return append(dst, '"')
}

func appendArgs(dst []byte, a sandbox.Action) []byte {
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		dst = appendString(append(dst, `{"command":`...), args.Command)
		dst = strconv.AppendBool(append(dst, `,"is_input":`...), args.IsInput)
		dst = appendString(append(dst, `,"thought":`...), args.Thought)
		dst = strconv.AppendBool(append(dst, `,"blocking":`...), args.Blocking)
		dst = strconv.AppendBool(append(dst, `,"is_static":`...), args.IsStatic)
		if dst = append(dst, `,"cwd":`...); args.Cwd == "" {
			dst = append(dst, "null"...)
		} else {
			dst = appendString(dst, args.Cwd)
		}
		dst = strconv.AppendBool(append(dst, `,"hidden":`...), args.Hidden)
		dst = appendRisk(appendConfirmation(dst, a.Meta), a.Meta)
	case sandbox.IPythonArgs:
		dst = appendString(append(dst, `{"code":`...), args.Code)
		dst = appendString(append(dst, `,"thought":`...), args.Thought)
		dst = strconv.AppendBool(append(dst, `,"include_extra":`...), args.IncludeExtra)
		dst = appendRisk(appendConfirmation(dst, a.Meta), a.Meta)
		dst = appendString(append(dst, `,"kernel_init_code":`...), args.KernelInitCode)
	case sandbox.ReadArgs:
		dst = appendString(append(dst, `{"path":`...), args.Path)
		dst = appendLines(dst, args.Start, args.End, args.Thought)
		dst = appendImpl(appendRisk(dst, a.Meta), args.Impl, implDefault)
		dst = appendInts(append(dst, `,"view_range":`...), args.ViewRange)
	case sandbox.WriteArgs:
		dst = appendString(append(dst, `{"path":`...), args.Path)
		dst = appendString(append(dst, `,"content":`...), args.Content)
		dst = appendRisk(appendLines(dst, args.Start, args.End, args.Thought), a.Meta)
	case sandbox.EditArgs:
		dst = appendEdit(dst, args, a.Meta)
	case sandbox.BrowseArgs:
		dst = appendString(append(dst, `{"url":`...), args.URL)
		dst = appendString(append(dst, `,"thought":`...), args.Thought)
		dst = strconv.AppendBool(append(appendRisk(dst, a.Meta), `,"return_axtree":`...), args.ReturnAXTree)
	case sandbox.BrowseInteractiveArgs:
		dst = appendString(append(dst, `{"browser_actions":`...), args.BrowserActions)
		dst = appendString(append(dst, `,"thought":`...), args.Thought)
		dst = appendString(append(dst, `,"browsergym_send_msg_to_user":`...), args.SendMsgToUser)
		dst = strconv.AppendBool(append(appendRisk(dst, a.Meta), `,"return_axtree":`...), args.ReturnAXTree)
	case sandbox.MCPArgs:
		dst = appendString(append(dst, `{"name":`...), args.Name)
		dst = appendObject(append(dst, `,"arguments":`...), args.Arguments)
		dst = appendRisk(appendString(append(dst, `,"thought":`...), args.Thought), a.Meta)
	case sandbox.OtherArgs:
		return appendObject(dst, args.Raw)
	default:
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

func appendEdit(dst []byte, args sandbox.EditArgs, from meta) []byte {
	dst = appendString(append(dst, `{"path":`...), args.Path)
	dst = appendString(append(dst, `,"command":`...), args.Command)
	dst = appendStringOrNull(append(dst, `,"file_text":`...), args.FileText)
	dst = appendStringOrNull(append(dst, `,"old_str":`...), args.OldStr)
	dst = appendStringOrNull(append(dst, `,"new_str":`...), args.NewStr)
	if dst = append(dst, `,"insert_line":`...); args.InsertLine == nil || len(*args.InsertLine) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = appendRaw(dst, *args.InsertLine)
	}
	dst = appendString(append(dst, `,"content":`...), args.Content)
	dst = appendLines(dst, args.Start, args.End, args.Thought)
	return appendImpl(appendRisk(dst, from), args.Impl, implEditor)
}

func appendLines(dst []byte, start, end int, thought string) []byte {
	dst = appendInt(append(dst, `,"start":`...), start)
	dst = appendInt(append(dst, `,"end":`...), end)
	return appendString(append(dst, `,"thought":`...), thought)
}

func appendImpl(dst []byte, impl, otherwise string) []byte {
	if dst = append(dst, `,"impl_source":`...); impl == "" {
		impl = otherwise
	}
	return appendString(dst, impl)
}

func appendRisk(dst []byte, from meta) []byte {
	if dst = append(dst, `,"security_risk":`...); from[metaRisk] != nil {
		return appendRaw(dst, from[metaRisk])
	}
	return append(dst, "-1"...)
}

func appendConfirmation(dst []byte, from meta) []byte {
	if dst = append(dst, `,"confirmation_state":`...); from[metaConfirmation] != nil {
		return appendRaw(dst, from[metaConfirmation])
	}
	return append(dst, `"confirmed"`...)
}

func appendObject(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, "{}"...)
	}
	return appendRaw(dst, raw)
}

func appendInts(dst []byte, list []int) []byte {
	if list == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(dst, n)
	}
	return append(dst, ']')
}
