package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os/user"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// modeOf reads ?mode=, 0 if there is none.
func modeOf(ctx *fasthttp.RequestCtx) (fs.FileMode, error) {
	v := ctx.QueryArgs().Peek("mode")
	if len(v) == 0 {
		return 0, nil
	}
	return files.ParseMode(string(v))
}

// switchOf reads a parameter that is on or off, otherwise if there is none.
func switchOf(ctx *fasthttp.RequestCtx, name string, otherwise bool) (bool, error) {
	v := ctx.QueryArgs().Peek(name)
	if !ctx.QueryArgs().Has(name) {
		return otherwise, nil
	}
	if len(v) == 0 { // ?name
		return true, nil
	}
	on, ok := boolean(string(v))
	if !ok {
		return false, refused(sandbox.Invalid, "files", fmt.Sprintf("%s=%.20q is neither true nor false", name, v))
	}
	return on, nil
}

// readJSON reads the body of a request into v, and answers if that fails.
func (s *Server) readJSON(ctx *fasthttp.RequestCtx, v any) bool {
	body, err := s.body(ctx)
	if err != nil {
		s.failBody(ctx, err)
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = fmt.Errorf("there is more than one value")
	}
	if err != nil {
		fail(ctx, refused(sandbox.Invalid, "server", fmt.Sprintf("the body is not the JSON object that is asked for here: %s", err)))
		return false
	}
	return true
}

// done answers for what has no answer but its end.
func done(ctx *fasthttp.RequestCtx, err error) {
	if err != nil {
		fail(ctx, err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

func (s *Server) list(a asked) {
	ctx := a.RequestCtx
	long, err := switchOf(ctx, "long", false)
	if err != nil {
		fail(ctx, err)
		return
	}
	if long {
		s.listLong(ctx)
		return
	}
	names, err := s.files.List(pathOf(ctx))
	if err != nil {
		fail(ctx, err)
		return
	}
	if names == nil {
		names = []string{}
	}
	answerJSON(ctx, fasthttp.StatusOK, names)
}

// listLong streams, as a directory may have a million entries.
func (s *Server) listLong(ctx *fasthttp.RequestCtx) {
	path := pathOf(ctx)
	entries, err := s.files.ListEntries(path)
	if err != nil {
		fail(ctx, err)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBodyStream(written(func(w io.Writer) error {
		e, separator := json.NewEncoder(w), "["
		e.SetEscapeHTML(false)
		for entry := range entries {
			_, err := io.WriteString(w, separator)
			if err == nil {
				err = e.Encode(statOf(entry, below(path, entry.Name)))
			}
			if err != nil {
				return err
			}
			separator = ","
		}
		_, err := io.WriteString(w, strings.TrimPrefix(separator, ",")+"]")
		return err
	}), -1)
}

// below is a name in the directory path, as a client may ask for it; "" is the working directory.
func below(path, name string) string {
	if path == "" {
		return name
	}
	return strings.TrimSuffix(path, "/") + "/" + name
}

// statOf is e in the native form, without the names of its owner.
func statOf(e files.Entry, path string) wire.FileStat {
	return wire.FileStat{Path: path, Name: e.Name, Type: e.Type, Size: e.Size, Mode: e.Mode, MTime: e.MTime, UID: e.UID, GID: e.GID,
		Target: e.Target, ETag: e.ETag}
}

func (s *Server) stat(a asked) {
	ctx := a.RequestCtx
	follow, err := switchOf(ctx, "follow", true)
	if err != nil {
		fail(ctx, err)
		return
	}
	path := pathOf(ctx)
	entry, err := s.files.Stat(path, follow)
	if err != nil {
		fail(ctx, err)
		return
	}
	st := statOf(entry, path)
	if u, err := user.LookupId(strconv.Itoa(st.UID)); err == nil {
		st.User = u.Username
	}
	if g, err := user.LookupGroupId(strconv.Itoa(st.GID)); err == nil {
		st.Group = g.Name
	}
	answerJSON(ctx, fasthttp.StatusOK, st)
}

func (s *Server) move(a asked) {
	var r wire.Move
	if s.readJSON(a.RequestCtx, &r) {
		done(a.RequestCtx, s.files.Move(r.From, r.To, r.Overwrite))
	}
}

func (s *Server) remove(a asked) {
	var r wire.Remove
	if !s.readJSON(a.RequestCtx, &r) {
		return
	}
	err := s.files.Remove(r.Path, r.Recursive)
	if r.Missing && sandbox.CodeOf(err) == sandbox.NotFound {
		err = nil
	}
	done(a.RequestCtx, err)
}

func (s *Server) deleteFile(a asked) {
	recursive, err := switchOf(a.RequestCtx, "recursive", false)
	if err == nil {
		err = s.files.Remove(pathOf(a.RequestCtx), recursive)
	}
	done(a.RequestCtx, err)
}

func (s *Server) makeDir(a asked) {
	var r wire.Mkdir
	if !s.readJSON(a.RequestCtx, &r) {
		return
	}
	mode := fs.FileMode(0o775)
	var err error
	if r.Mode != "" {
		mode, err = files.ParseMode(r.Mode)
	}
	if err == nil {
		err = s.files.MakeDir(r.Path, mode, r.Exclusive)
	}
	done(a.RequestCtx, err)
}

func (s *Server) chmod(a asked) {
	var r wire.Chmod
	if !s.readJSON(a.RequestCtx, &r) {
		return
	}
	mode, err := files.ParseMode(r.Mode)
	if err == nil {
		err = s.files.Chmod(r.Path, mode, r.Recursive)
	}
	done(a.RequestCtx, err)
}
