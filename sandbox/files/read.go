package files

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	implDefault = "default"
	implEditor  = "oh_aci"
)

// mediaTypes are the types of files whose content is returned as a data URI, by the extension of their name.
var mediaTypes = map[string]string{
	".png":  "image/png",
	".jpg":  "image/jpeg",
	".jpeg": "image/jpeg",
	".bmp":  "image/bmp",
	".gif":  "image/gif",
	".pdf":  "application/pdf",
	".mp4":  "video/mp4",
	".webm": "video/webm",
	".ogg":  "audio/ogg",
}

// Read performs a read action; cwd is the shell's directory, below which a relative path is. The text has "\n" for
// every line ending. A file that is missing, a directory, not UTF-8 or above Config.MaxRead makes an error observation.
// Codes: Invalid (what no file can be called), Denied.
func (s *Store) Read(cwd string, a sandbox.ReadArgs) (sandbox.Observation, error) {
	if err := checkPath(a.Path); err != nil {
		return sandbox.Observation{}, refuse(sandbox.Invalid, "Read", a.Path, "%w", err)
	}
	p := resolve(cwd, a.Path)
	media := mediaTypes[strings.ToLower(filepath.Ext(p))]
	// The original looks a relative path up in the wrong directory, so that none is ever found binary. Clients rely on
	// the text that follows from it, but for pictures nothing does.
	if (media == "" || a.Impl == implEditor) && filepath.IsAbs(a.Path) && binaryFile(p) {
		return sandbox.Failed("", "ERROR_BINARY_FILE"), nil
	}
	if a.Impl == implEditor {
		out, err := s.view(tidy(a.Path), a.ViewRange)
		if err != nil {
			out = failedEdit(err)
		}
		return sandbox.Observation{Content: out, Result: sandbox.ReadResult{Path: a.Path, Impl: implEditor}}, nil
	}
	var content string
	var err error
	if media != "" {
		content, err = dataURI(p, media, s.c.MaxRead)
	} else {
		content, err = readText(p, a.Start, a.End, s.c.MaxRead)
	}
	if err != nil {
		return s.readFailed(cwd, p, err)
	}
	return sandbox.Observation{Content: content, Result: sandbox.ReadResult{Path: p, Impl: implDefault}}, nil
}

func (s *Store) readFailed(cwd, p string, err error) (sandbox.Observation, error) {
	var text string
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		text = fmt.Sprintf("File not found: %s. Your current working directory is %s.", p, cwd)
	case errors.Is(err, syscall.EISDIR):
		text = fmt.Sprintf("Path is a directory: %s. You can only read files", p)
	case errors.Is(err, errNotText):
		text = fmt.Sprintf("File could not be decoded as utf-8: %s.", p)
	case errors.Is(err, errNotRegular):
		text = fmt.Sprintf("Path is not a regular file: %s. You can only read files", p)
	case errors.Is(err, errTooLarge):
		text = fmt.Sprintf("File is too large: %s. Maximum allowed size is %dMB.", p, s.c.MaxRead>>20)
	default:
		return sandbox.Observation{}, fail("Read", p, err)
	}
	return sandbox.Failed("", text), nil
}

func readText(p string, start, end int, limit int64) (string, error) {
	b, _, err := readRegular(p, limit)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errNotText
	}
	return sliceLines(newlines(asString(b)), start, end), nil
}

// sliceLines is the part of s from line start (from 0) to line end (exclusive; -1 means all that follow), by the
// original's rules, which always give a line where they can: begin is at most the last but one, and end is after begin.
func sliceLines(s string, start, end int) string {
	if start <= 0 && end == -1 {
		return s
	}
	n := countLines(s)
	if end == -1 {
		return s[lineAt(s, min(start, n)):]
	}
	begin := min(max(start, 0), max(n-2, 0))
	end = max(min(max(end, 0), n), begin+1)
	a := lineAt(s, begin)
	return s[a : a+lineAt(s[a:], end-begin)]
}

// dataURI is the whole file as a URI that holds it.
func dataURI(p, media string, limit int64) (string, error) {
	f, fi, err := openRegular(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if fi.Size() > limit {
		return "", errTooLarge
	}
	var b strings.Builder
	b.Grow(len("data:;base64,") + len(media) + base64.StdEncoding.EncodedLen(int(fi.Size())))
	b.WriteString("data:" + media + ";base64,")
	enc := base64.NewEncoder(base64.StdEncoding, &b)
	if _, err := io.Copy(enc, io.LimitReader(f, limit)); err != nil {
		return "", err
	}
	enc.Close() // a strings.Builder takes everything
	return b.String(), nil
}
