package wire

import (
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
)

// AppendObservation appends o as an event, byte for byte as OpenHands' server answers it but for spaces: its order of
// members, its message unless Meta has another, and success where that kind has it. Text that is not UTF-8 gets U+FFFD
// for each bad byte.
func AppendObservation(dst []byte, o sandbox.Observation) []byte {
	dst = appendEnvelope(dst, o.Meta)
	dst = append(dst, `"message":`...)
	if raw := o.Meta["message"]; raw != nil {
		dst = appendRaw(dst, raw)
	} else {
		dst = appendObservationMessage(dst, o)
	}
	dst = append(dst, ',')
	dst = appendMember(dst, o.Meta, "cause")
	dst = append(dst, `"observation":`...)
	dst = appendString(dst, string(o.Kind()))
	dst = append(dst, ',')
	dst = appendMember(dst, o.Meta, "tool_call_metadata")
	dst = appendMember(dst, o.Meta, "llm_metrics")
	dst = appendString(append(dst, `"content":`...), o.Content)
	dst = append(dst, `,"extras":`...)
	dst = appendExtras(dst, o)
	if raw := o.Meta["success"]; raw != nil {
		dst = appendRaw(append(dst, `,"success":`...), raw)
	} else if success := derivedSuccess(o.Result); success != "" {
		dst = append(append(dst, `,"success":`...), success...)
	}
	dst = appendRest(dst, o.Meta, "", "id", "timestamp", "source", "message", "cause", "observation", "tool_call_metadata", "llm_metrics", "content", "extras", "success")
	return append(dst, '}')
}

// derivedSuccess is the success member of an observation, "" where its kind has none.
func derivedSuccess(r sandbox.Result) string {
	switch r := r.(type) {
	case sandbox.RunResult:
		return strconv.FormatBool(r.Metadata.ExitCode == 0)
	case sandbox.IPythonResult:
		return "true"
	}
	return ""
}

// appendObservationMessage appends what OpenHands says of an observation, as a JSON string.
func appendObservationMessage(dst []byte, o sandbox.Observation) []byte {
	dst = append(dst, '"')
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		dst = appendText(append(dst, "Command `"...), r.Command)
		dst = append(appendInt(append(dst, "` executed with exit code "...), r.Metadata.ExitCode), '.')
	case sandbox.IPythonResult:
		dst = append(dst, "Code executed in IPython cell."...)
	case sandbox.ReadResult:
		dst = append(appendText(append(dst, "I read the file "...), r.Path), '.')
	case sandbox.WriteResult:
		dst = append(appendText(append(dst, "I wrote to the file "...), r.Path), '.')
	case sandbox.EditResult:
		dst = append(appendText(append(dst, "I edited the file "...), r.Path), '.')
	case sandbox.BrowseResult:
		dst = appendText(append(dst, "Visited "...), textMember(r.Extras, "url"))
	case sandbox.ErrorResult, sandbox.SuccessResult, sandbox.MCPResult:
		dst = appendText(dst, o.Content)
	case sandbox.NullResult, nil:
		dst = append(dst, "No observation"...)
	case sandbox.OtherResult:
		switch r.Type {
		case "user_rejected", "think", "condense", "task_tracking":
			dst = appendText(dst, o.Content)
		case "download":
			dst = appendText(append(dst, "Downloaded the file at location: "...), textMember(r.Extras, "file_path"))
		case "recall":
			if textMember(r.Extras, "recall_type") == "knowledge" {
				dst = append(dst, "Added microagent knowledge"...)
			} else {
				dst = append(dst, "Added workspace context"...)
			}
		}
	}
	return append(dst, '"')
}

// textMember is the string of that name in an object, "" if there is none.
func textMember(raw []byte, name string) (s string) {
	raw, err := check(raw)
	if err != nil {
		return ""
	}
	m := object(raw, "extras")
	for m.next() {
		if string(m.key) == name && m.value[0] == '"' {
			s, _ = unquote(m.value)
		}
	}
	return s
}

func appendExtras(dst []byte, o sandbox.Observation) []byte {
	open := len(dst)
	dst = append(dst, '{')
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		dst = appendString(append(dst, `"command":`...), r.Command)
		dst = appendMetadata(append(dst, `,"metadata":`...), r.Metadata, o.Meta)
		dst = strconv.AppendBool(append(dst, `,"hidden":`...), r.Hidden)
	case sandbox.IPythonResult:
		dst = appendString(append(dst, `"code":`...), r.Code)
		dst = appendTexts(append(dst, `,"image_urls":`...), r.ImageURLs)
		if len(r.Displays) > 0 {
			dst = append(append(dst, `,"displays":`...), r.Displays...)
		}
	case sandbox.ReadResult:
		dst = appendString(append(dst, `"path":`...), r.Path)
		dst = appendImpl(dst, r.Impl, implDefault)
	case sandbox.WriteResult:
		dst = appendString(append(dst, `"path":`...), r.Path)
	case sandbox.EditResult:
		dst = appendString(append(dst, `"path":`...), r.Path)
		dst = strconv.AppendBool(append(dst, `,"prev_exist":`...), r.PrevExist)
		dst = appendStringOrNull(append(dst, `,"old_content":`...), r.OldContent)
		dst = appendStringOrNull(append(dst, `,"new_content":`...), r.NewContent)
		dst = appendImpl(dst, r.Impl, implEditor)
		dst = appendStringOrNull(append(dst, `,"diff":`...), r.Diff)
		dst = append(dst, `,"_diff_cache":null`...)
	case sandbox.MCPResult:
		dst = appendString(append(dst, `"name":`...), r.Name)
		dst = appendObject(append(dst, `,"arguments":`...), r.Arguments)
	case sandbox.ErrorResult:
		dst = appendString(append(dst, `"error_id":`...), r.ErrorID)
	case sandbox.BrowseResult:
		return appendObject(dst[:open], r.Extras)
	case sandbox.OtherResult:
		return appendObject(dst[:open], r.Extras)
	}
	rest := len(dst)
	dst = appendRest(dst, o.Meta, "extras.")
	if rest == open+1 && len(dst) > rest { // no member before the first of these: it needs no comma
		dst = append(dst[:rest], dst[rest+1:]...)
	}
	return append(dst, '}')
}

func appendMetadata(dst []byte, md sandbox.RunMetadata, from meta) []byte {
	dst = appendInt(append(dst, `{"exit_code":`...), md.ExitCode)
	dst = appendInt(append(dst, `,"pid":`...), md.PID)
	dst = appendStringOrNull(append(dst, `,"username":`...), md.Username)
	dst = appendStringOrNull(append(dst, `,"hostname":`...), md.Hostname)
	dst = appendStringOrNull(append(dst, `,"working_dir":`...), md.WorkingDir)
	dst = appendStringOrNull(append(dst, `,"py_interpreter_path":`...), md.PyPath)
	dst = appendString(append(dst, `,"prefix":`...), md.Prefix)
	dst = appendString(append(dst, `,"suffix":`...), md.Suffix)
	return append(appendRest(dst, from, "extras.metadata."), '}')
}

func appendTexts(dst []byte, list []string) []byte {
	if list == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}
