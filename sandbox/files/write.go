package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

// newFileMode is what the write action gives to a file that it makes.
const newFileMode = 0o664

// Write performs a write action; cwd is the shell's directory, below which a relative path is. Parents are made.
// Every piece of the content between newlines gets one, so there is always one at the end. Lines that are kept stay as
// they are. A path that is a directory or a file that is not UTF-8 makes an error observation.
// Codes: Invalid (what no file can be called or no text can hold), Denied, Exhausted, NotFound (a parent is a file).
func (s *Store) Write(cwd string, a sandbox.WriteArgs) (sandbox.Observation, error) {
	if err := checkPath(a.Path); err != nil {
		return sandbox.Observation{}, refuse(sandbox.Invalid, "Write", a.Path, "%w", err)
	}
	if !utf8.ValidString(a.Content) {
		return sandbox.Observation{}, refuse(sandbox.Invalid, "Write", a.Path, "the content is not valid UTF-8")
	}
	p := resolve(cwd, a.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, _ := split(p)
	if err := s.makeParents(dir); err != nil {
		return sandbox.Observation{}, fail("Write", p, err)
	}
	ownErr, err := s.write(p, a)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sandbox.Failed("", "File not found: "+p), nil
	case errors.Is(err, syscall.EISDIR):
		return sandbox.Failed("", fmt.Sprintf("Path is a directory: %s. You can only write to files", p)), nil
	case errors.Is(err, errNotText):
		return sandbox.Failed("", "File could not be decoded as utf-8: "+p), nil
	case errors.Is(err, errNotRegular):
		return sandbox.Failed("", fmt.Sprintf("Path is not a regular file: %s. You can only write to files", p)), nil
	case errors.Is(err, errTooLarge):
		return sandbox.Failed("", fmt.Sprintf("File is too large: %s. Maximum allowed size is %dMB.", p, s.c.MaxRead>>20)), nil
	case err != nil:
		return sandbox.Observation{}, fail("Write", p, err)
	case ownErr != nil:
		return sandbox.Failed("", fmt.Sprintf("File %s written, but failed to change ownership and permissions: %s", p, python(ownErr, p))), nil
	}
	return sandbox.Observation{Result: sandbox.WriteResult{Path: p}}, nil
}

func (s *Store) write(p string, a sandbox.WriteArgs) (ownErr, err error) {
	if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
		return s.create(p, []byte(a.Content+"\n"), newFileMode, true)
	}
	b, fi, err := readRegular(p, s.c.MaxRead)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) { // also where nothing of it is kept: an agent that thinks it edits text is wrong
		return nil, errNotText
	}
	return nil, s.rewrite(p, []byte(writeLines(newText(asString(b), nil), a.Content, a.Start, a.End)), fi)
}

// writeLines is t with content in place of its lines from start to end. The two are Python slice bounds, but for a start
// of 0, which keeps nothing before, and an end of -1, which keeps nothing after.
func writeLines(t text, content string, start, end int) string {
	if content += "\n"; start == 0 && end == -1 {
		return content
	}
	n := countLines(t.lines)
	bound := func(i int) int {
		if i < 0 {
			i += n
		}
		return lineAt(t.lines, min(max(i, 0), n))
	}
	before, after := "", ""
	if start != 0 {
		before = t.raw[:t.rawAt(bound(start))]
	}
	if end != -1 {
		after = t.raw[t.rawAt(bound(end)):]
	}
	if t.eol == "\r\n" {
		content = strings.ReplaceAll(newlines(content), "\n", t.eol)
	}
	if before != "" && !strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "\r") {
		before += t.eol
	}
	return before + content + after
}

// makeParents makes the directory dir and those above it, the new ones owned as new files are.
func (s *Store) makeParents(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil // if it is a file, opening what is in it will say so
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up, _ := split(dir); up != dir {
		if err := s.makeParents(up); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return nil // another was faster, or dir ends in ".."
	}
	if err != nil || !s.gives() {
		return err
	}
	return os.Lchown(dir, s.c.UID, s.c.GID)
}
