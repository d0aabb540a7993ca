package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

const maxEdit = 10 << 20 // bytes of a file that the editor opens, as in the original

// A refusal is an editor's text for an agent that asked for what cannot be. The agent reads it as the observation.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusef(format string, a ...any) error { return refusal(fmt.Sprintf(format, a...)) }

func badParameter(name, value, hint string) error {
	return refusef("Invalid `%s` parameter: %s. %s", name, value, hint)
}

func failedEdit(err error) string { return "ERROR:\n" + err.Error() }

// A change is what an editor command did: the text for the agent, and the file's lines before and after.
type change struct{ output, before, after string }

// Edit performs an edit action: view, create, str_replace, insert or undo_edit. What the editor refuses is the content
// of an edit observation that begins with "ERROR:". A changed file keeps its mode, owner, encoding and line endings.
// Codes: Invalid (text that is not UTF-8; an editor other than oh_aci: that one runs at the client).
func (s *Store) Edit(a sandbox.EditArgs) (sandbox.Observation, error) {
	if a.Impl != "" && a.Impl != implEditor {
		return sandbox.Observation{}, refuse(sandbox.Invalid, "Edit", a.Path, "impl_source %q is none of the server's", a.Impl)
	}
	for _, arg := range []*string{&a.Path, a.FileText, a.OldStr, a.NewStr} {
		if arg != nil && !utf8.ValidString(*arg) {
			return sandbox.Observation{}, refuse(sandbox.Invalid, "Edit", a.Path, "an argument is not valid UTF-8")
		}
	}
	c, err := s.edit(a)
	if err != nil {
		c = change{output: failedEdit(err)}
	}
	d := diff(c.before, c.after, a.Path)
	return sandbox.Observation{Content: c.output, Result: sandbox.EditResult{
		Path: a.Path, OldContent: a.OldStr, NewContent: a.NewStr, Impl: implEditor, Diff: &d,
	}}, nil
}

func (s *Store) edit(a sandbox.EditArgs) (change, error) {
	line, err := lineNumber(a.InsertLine)
	if err != nil {
		return change{}, err
	}
	p := tidy(a.Path)
	if a.Command == "view" {
		out, err := s.view(p, nil)
		return change{output: out}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.checkEdit(a.Command, p); err != nil {
		return change{}, err
	}
	missing := func(name string) error {
		return refusef("Parameter `%s` is required for command: %s.", name, a.Command)
	}
	switch a.Command {
	case "create":
		if a.FileText == nil {
			return change{}, missing("file_text")
		}
		return s.createFile(p, *a.FileText)
	case "str_replace":
		if a.OldStr == nil {
			return change{}, missing("old_str")
		}
		if a.NewStr != nil && *a.NewStr == *a.OldStr {
			return change{}, badParameter("new_str", *a.NewStr, "No replacement was performed. `new_str` and `old_str` must be different.")
		}
		return s.replaceString(p, *a.OldStr, a.NewStr)
	case "insert":
		if a.InsertLine == nil {
			return change{}, missing("insert_line")
		}
		if a.NewStr == nil {
			return change{}, missing("new_str")
		}
		return s.insert(p, line, *a.NewStr)
	case "undo_edit":
		return s.undo(p)
	}
	return change{}, refusef("Unrecognized command %s. The allowed commands for the oh_editor tool are: view, create, str_replace, insert, undo_edit", a.Command)
}

// lineNumber is an insert_line, which models send as an integer or as a string of one.
func lineNumber(raw *json.RawMessage) (int, error) {
	if raw == nil {
		return 0, nil
	}
	var s string
	if json.Unmarshal(*raw, &s) != nil {
		s = string(*raw)
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 0, refusef("Invalid insert_line value: %s. Expected an integer.", pythonQuote(s))
	}
	return n, nil
}

// convertible are the kinds of binary files that the original's view turns into Markdown.
var convertible = []string{".docx", ".xlsx", ".pptx", ".pdf", ".mp3", ".wav", ".m4a", ".flac"}

// checkEdit says whether command can be meant for the path p.
func (s *Store) checkEdit(command, p string) (fs.FileInfo, error) {
	if !filepath.IsAbs(p) {
		hint := "The path should be an absolute path, starting with `/`."
		if full := resolve(s.c.Dir, p); checkPath(p) == nil {
			if _, err := os.Stat(full); err == nil {
				hint += fmt.Sprintf(" Maybe you meant %s?", full)
			}
		}
		return nil, badParameter("path", p, hint)
	}
	fi, err := os.Stat(p)
	if command == "create" && err == nil {
		return nil, badParameter("path", p, fmt.Sprintf("File already exists at: %s. Cannot overwrite files using command `create`.", p))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		if command != "create" {
			return nil, badParameter("path", p, fmt.Sprintf("The path %s does not exist. Please provide a valid path.", p))
		}
	} else if err != nil {
		return nil, refusef("Ran into %s while trying to read %s", python(err, p), p)
	}
	if command == "view" {
		return fi, nil
	}
	if fi != nil && fi.IsDir() {
		return nil, badParameter("path", p, fmt.Sprintf("The path %s is a directory and only the `view` command can be used on directories.", p))
	}
	if ext := filepath.Ext(p); slices.Contains(convertible, strings.ToLower(ext)) {
		return nil, badParameter("path", p, fmt.Sprintf("The path %s points to a binary file (%s) and only the `view` command can be used on supported binary files.", p, ext))
	}
	return fi, nil
}

// load reads the text of the file p for the editor, with the bytes it was made from.
func load(p string) (text, []byte, fs.FileInfo, error) {
	invalid := func(reason string) (text, []byte, fs.FileInfo, error) {
		return text{}, nil, nil, refusef("File validation failed for %s: %s", p, reason)
	}
	b, fi, err := readRegular(p, maxEdit)
	switch {
	case errors.Is(err, errTooLarge):
		return invalid(fmt.Sprintf("File is too large (%.1fMB). Maximum allowed size is %dMB.", float64(fi.Size())/(1<<20), maxEdit>>20))
	case errors.Is(err, errNotRegular):
		return invalid("It is not a regular file, and this tool reads and edits no other.")
	case err != nil:
		return text{}, nil, nil, refusef("Ran into %s while trying to read %s", python(err, p), p)
	case strings.HasSuffix(p, ".pyc") || looksBinary(b[:min(len(b), sampleBytes)]):
		return invalid("File appears to be binary and this file type cannot be read or edited by this tool.")
	}
	t, err := decode(b)
	if err != nil {
		return invalid("File appears to be binary and this file type cannot be read or edited by this tool.")
	}
	return t, b, fi, nil
}

// save gives the file p, which was t, the raw text of a new one, and remembers what it was.
func (s *Store) save(p string, t text, raw string, old []byte, fi fs.FileInfo) (text, error) {
	b, err := t.encode(raw)
	if err == nil {
		err = s.rewrite(p, b, fi)
	}
	if err != nil {
		return text{}, refusef("Ran into %s while trying to write to %s", python(err, p), p)
	}
	s.history.push(historyKey(p), old)
	return newText(raw, t.enc), nil
}

func (s *Store) createFile(p, content string) (change, error) {
	if _, err := s.create(p, []byte(content), 0o666, false); err != nil {
		return change{}, refusef("Ran into %s while trying to write to %s", python(err, p), p)
	}
	s.history.push(historyKey(p), []byte(content))
	return change{output: "File created successfully at: " + p, after: content}, nil
}
