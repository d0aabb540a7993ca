package wire

import (
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
)

// lenient reads a string in which half of a surrogate pair is U+FFFD; null is "".
func (m *members) lenient() string {
	if m.value[0] == '"' {
		s, _ := unquote(m.value)
		return s
	}
	return m.text()
}

func (m *members) lenientOrNil() *string {
	if m.null() {
		return nil
	}
	s := m.lenient()
	return &s
}

// lenientInteger reads a whole number or a string that holds one; null is otherwise.
func (m *members) lenientInteger(otherwise int) int {
	if m.value[0] == '"' {
		if n, err := strconv.Atoi(m.lenient()); err == nil {
			return n
		}
	}
	return m.integer(otherwise)
}

func (m *members) runResult(rest *meta) sandbox.RunResult {
	r := sandbox.RunResult{Metadata: sandbox.RunMetadata{ExitCode: -1, PID: -1}}
	for m.next() {
		switch string(m.key) {
		case "command":
			r.Command = m.lenient()
		case "hidden":
			r.Hidden = m.flag(false)
		case "metadata":
			if !m.null() {
				m.metadata(&r.Metadata, rest)
			}
		case "exit_code": // it stood here before there was metadata
			r.Metadata.ExitCode = m.lenientInteger(-1)
		case "command_id":
			r.Metadata.PID = m.lenientInteger(-1)
		case "formatted_output_and_error": // what the client makes by itself today
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) metadata(md *sandbox.RunMetadata, rest *meta) {
	in := object(m.value, "metadata")
	for in.next() {
		switch string(in.key) {
		case "exit_code":
			md.ExitCode = in.lenientInteger(-1)
		case "pid":
			md.PID = in.lenientInteger(-1)
		case "username":
			md.Username = in.lenientOrNil()
		case "hostname":
			md.Hostname = in.lenientOrNil()
		case "working_dir":
			md.WorkingDir = in.lenientOrNil()
		case "py_interpreter_path":
			md.PyPath = in.lenientOrNil()
		case "prefix":
			md.Prefix = in.lenient()
		case "suffix":
			md.Suffix = in.lenient()
		default:
			in.keep(rest, "extras.metadata.")
		}
	}
	if m.err == nil {
		m.err = in.err
	}
}

func (m *members) ipythonResult(rest *meta) (r sandbox.IPythonResult) {
	for m.next() {
		switch string(m.key) {
		case "code":
			r.Code = m.lenient()
		case "image_urls":
			r.ImageURLs = m.texts()
		case "displays":
			if m.value[0] != '[' {
				m.keep(rest, "extras.")
				continue
			}
			r.Displays = oneLine(m.value)
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) readResult(rest *meta) sandbox.ReadResult {
	r := sandbox.ReadResult{Impl: implDefault}
	for m.next() {
		switch string(m.key) {
		case "path":
			r.Path = m.lenient()
		case "impl_source":
			r.Impl = cmp.Or(m.lenient(), implDefault)
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) writeResult(rest *meta) (r sandbox.WriteResult) {
	for m.next() {
		switch string(m.key) {
		case "path":
			r.Path = m.lenient()
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) editResult(rest *meta) sandbox.EditResult {
	r := sandbox.EditResult{Impl: implEditor}
	for m.next() {
		switch string(m.key) {
		case "path":
			r.Path = m.lenient()
		case "prev_exist":
			r.PrevExist = m.flag(false)
		case "old_content":
			r.OldContent = m.lenientOrNil()
		case "new_content":
			r.NewContent = m.lenientOrNil()
		case "impl_source":
			r.Impl = cmp.Or(m.lenient(), implEditor)
		case "diff":
			r.Diff = m.lenientOrNil()
		case "_diff_cache": // always null
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) mcpResult(rest *meta) sandbox.MCPResult {
	r := sandbox.MCPResult{Arguments: json.RawMessage("{}")}
	for m.next() {
		switch string(m.key) {
		case "name":
			r.Name = m.lenient()
		case "arguments":
			r.Arguments = m.object()
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}

func (m *members) errorResult(rest *meta) (r sandbox.ErrorResult) {
	for m.next() {
		switch string(m.key) {
		case "error_id":
			r.ErrorID = m.lenient()
		default:
			m.keep(rest, "extras.")
		}
	}
	return r
}
