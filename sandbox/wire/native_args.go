package wire

import (
	"github.com/sandtree/sandtree/sandbox"
)

// appendNativeArgs appends the arguments of a, but for those at their default.
func appendNativeArgs(dst []byte, a sandbox.Action) []byte {
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		dst = appendString(append(dst, `{"command":`...), args.Command)
		dst = appendTrue(dst, `,"is_input":true`, args.IsInput)
		dst = appendFilled(dst, `,"thought":`, args.Thought)
		dst = appendTrue(dst, `,"blocking":true`, args.Blocking)
		dst = appendTrue(dst, `,"is_static":true`, args.IsStatic)
		dst = appendFilled(dst, `,"cwd":`, args.Cwd)
		dst = appendTrue(dst, `,"hidden":true`, args.Hidden)
		dst = appendNativeConfirmation(dst, a.Meta)
	case sandbox.IPythonArgs:
		dst = appendString(append(dst, `{"code":`...), args.Code)
		dst = appendFilled(dst, `,"thought":`, args.Thought)
		dst = appendTrue(dst, `,"include_extra":false`, !args.IncludeExtra)
		dst = appendFilled(dst, `,"kernel_init_code":`, args.KernelInitCode)
		dst = appendNativeConfirmation(dst, a.Meta)
	case sandbox.ReadArgs:
		dst = appendString(append(dst, `{"path":`...), args.Path)
		dst = appendNativeLines(dst, args.Start, 0, args.End, args.Thought)
		if args.Impl != "" && args.Impl != implDefault {
			dst = appendFilled(dst, `,"impl_source":`, args.Impl)
		}
		if args.ViewRange != nil {
			dst = appendInts(append(dst, `,"view_range":`...), args.ViewRange)
		}
	case sandbox.WriteArgs:
		dst = appendString(append(dst, `{"path":`...), args.Path)
		dst = appendString(append(dst, `,"content":`...), args.Content)
		dst = appendNativeLines(dst, args.Start, 0, args.End, args.Thought)
	case sandbox.EditArgs:
		dst = appendNativeEdit(dst, args)
	case sandbox.BrowseArgs:
		dst = appendString(append(dst, `{"url":`...), args.URL)
		dst = appendFilled(dst, `,"thought":`, args.Thought)
		dst = appendTrue(dst, `,"return_axtree":true`, args.ReturnAXTree)
	case sandbox.BrowseInteractiveArgs:
		dst = appendString(append(dst, `{"browser_actions":`...), args.BrowserActions)
		dst = appendFilled(dst, `,"thought":`, args.Thought)
		dst = appendFilled(dst, `,"browsergym_send_msg_to_user":`, args.SendMsgToUser)
		dst = appendTrue(dst, `,"return_axtree":true`, args.ReturnAXTree)
	case sandbox.MCPArgs:
		dst = appendString(append(dst, `{"name":`...), args.Name)
		dst = appendObject(append(dst, `,"arguments":`...), args.Arguments)
		dst = appendFilled(dst, `,"thought":`, args.Thought)
	case sandbox.OtherArgs:
		return appendObject(dst, args.Raw)
	default:
		return append(dst, "{}"...)
	}
	return append(appendNativeRisk(dst, a.Meta), '}')
}

func appendNativeEdit(dst []byte, args sandbox.EditArgs) []byte {
	dst = appendString(append(dst, `{"path":`...), args.Path)
	dst = appendFilled(dst, `,"command":`, args.Command)
	dst = appendGiven(dst, `,"file_text":`, args.FileText)
	dst = appendGiven(dst, `,"old_str":`, args.OldStr)
	dst = appendGiven(dst, `,"new_str":`, args.NewStr)
	if args.InsertLine != nil && len(*args.InsertLine) > 0 {
		dst = appendRaw(append(dst, `,"insert_line":`...), *args.InsertLine)
	}
	dst = appendFilled(dst, `,"content":`, args.Content)
	dst = appendNativeLines(dst, args.Start, 1, args.End, args.Thought)
	if args.Impl != "" && args.Impl != implEditor {
		dst = appendFilled(dst, `,"impl_source":`, args.Impl)
	}
	return dst
}

func appendNativeLines(dst []byte, start, first, end int, thought string) []byte {
	if start != first {
		dst = appendInt(append(dst, `,"start":`...), start)
	}
	if end != -1 {
		dst = appendInt(append(dst, `,"end":`...), end)
	}
	return appendFilled(dst, `,"thought":`, thought)
}

func appendNativeRisk(dst []byte, from meta) []byte {
	switch raw := from[metaRisk]; string(raw) {
	case "0", "1", "2":
		dst = append(append(dst, `,"security_risk":`...), raw...)
	}
	return dst
}

func appendNativeConfirmation(dst []byte, from meta) []byte {
	if raw := from[metaConfirmation]; len(raw) > 0 && string(raw) != `"confirmed"` {
		dst = appendRaw(append(dst, `,"confirmation_state":`...), raw)
	}
	return dst
}

// appendTrue appends member if it is so.
func appendTrue(dst []byte, member string, so bool) []byte {
	if so {
		dst = append(dst, member...)
	}
	return dst
}

// appendFilled appends a string that is not empty.
func appendFilled(dst []byte, name, s string) []byte {
	if s != "" {
		dst = appendString(append(dst, name...), s)
	}
	return dst
}

// appendGiven appends a string that is there.
func appendGiven(dst []byte, name string, s *string) []byte {
	if s != nil {
		dst = appendString(append(dst, name...), *s)
	}
	return dst
}

// appendNativeExtras appends the extras of o. Those of a command leave out what is not known or empty.
func appendNativeExtras(dst []byte, o sandbox.Observation) []byte {
	r, ok := o.Result.(sandbox.RunResult)
	if !ok {
		return appendExtras(dst, o)
	}
	md := r.Metadata
	dst = appendString(append(dst, `{"command":`...), r.Command)
	dst = appendInt(append(dst, `,"metadata":{"exit_code":`...), md.ExitCode)
	if md.PID != -1 {
		dst = appendInt(append(dst, `,"pid":`...), md.PID)
	}
	dst = appendGiven(dst, `,"username":`, md.Username)
	dst = appendGiven(dst, `,"hostname":`, md.Hostname)
	dst = appendGiven(dst, `,"working_dir":`, md.WorkingDir)
	dst = appendGiven(dst, `,"py_interpreter_path":`, md.PyPath)
	dst = appendFilled(dst, `,"prefix":`, md.Prefix)
	dst = appendFilled(dst, `,"suffix":`, md.Suffix)
	dst = append(appendRest(dst, o.Meta, "extras.metadata."), '}')
	dst = appendTrue(dst, `,"hidden":true`, r.Hidden)
	return append(appendRest(dst, o.Meta, "extras."), '}')
}
