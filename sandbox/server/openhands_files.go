package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// listFiles answers with names; what cannot be listed has none.
func (s *Server) listFiles(ctx *fasthttp.RequestCtx) {
	body, err := s.body(ctx)
	if errors.Is(err, errTooLong) {
		detail(ctx, fasthttp.StatusRequestEntityTooLarge, textOf(err))
		s.hangUp(ctx)
		return
	}
	var request map[string]json.RawMessage
	var path *string
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if raw, ok := request["path"]; ok && err == nil {
		err = json.Unmarshal(raw, &path)
	}
	if err != nil || request == nil {
		detail(ctx, fasthttp.StatusInternalServerError, unexpected)
		return
	}
	answerJSON(ctx, fasthttp.StatusOK, s.files.ListNames(path))
}

// uploadFile takes one file or archive as a multipart form, which is never held as a whole.
func (s *Server) uploadFile(ctx *fasthttp.RequestCtx) {
	query := ctx.QueryArgs()
	destination, given := string(query.Peek("destination")), query.Has("destination")
	if !given {
		destination = "/"
	}
	recursive, ok := boolean(string(query.Peek("recursive")))
	if !ok {
		unprocessable(ctx, "[{'type': 'bool_parsing', 'loc': ('query', 'recursive'), 'msg': 'Input should be a valid boolean, unable to interpret input'}]")
		return
	}
	part, err := filePart(ctx)
	if err != nil {
		unprocessable(ctx, fmt.Sprintf("[{'type': 'missing', 'loc': ('body', 'file'), 'msg': 'Field required: %s'}]", err))
		return
	}
	if !filepath.IsAbs(destination) {
		detail(ctx, fasthttp.StatusInternalServerError, "400: Destination must be an absolute path")
		return
	}
	if err := s.files.Upload(destination, part.name, recursive, part); err != nil {
		detail(ctx, fasthttp.StatusInternalServerError, textOf(err))
		return
	}
	s.contact.note() // it may have taken long
	answerJSON(ctx, fasthttp.StatusOK, struct {
		Filename    string `json:"filename"`
		Destination string `json:"destination"`
		Recursive   bool   `json:"recursive"`
		Success     bool   `json:"success"`
	}{part.name, destination, recursive, true})
}

// boolean reads what the original takes for one.
func boolean(v string) (value, ok bool) {
	switch strings.ToLower(v) {
	case "true", "1", "on", "yes", "t", "y":
		return true, true
	case "", "false", "0", "off", "no", "f", "n":
		return false, true
	}
	return false, false
}

// A filedPart is the content of the part called file.
type filedPart struct {
	io.Reader
	name string
}

// filePart goes to the part called file, over any others.
func filePart(ctx *fasthttp.RequestCtx) (*filedPart, error) {
	boundary := string(ctx.Request.Header.MultipartFormBoundary())
	if boundary == "" {
		return nil, errors.New("the body is no multipart form")
	}
	for form := multipart.NewReader(streamedBody(ctx), boundary); ; {
		part, err := form.NextRawPart()
		if err != nil {
			return nil, err
		}
		if part.FormName() == "file" && part.FileName() != "" {
			// FileName gives the base name only: the answer is to have it as sent, and what is written is the base name
			// in any case.
			return &filedPart{part, sentName(part)}, nil
		}
	}
}

// downloadFiles answers with a zip of a directory.
func (s *Server) downloadFiles(ctx *fasthttp.RequestCtx) {
	if !ctx.QueryArgs().Has("path") {
		unprocessable(ctx, "[{'type': 'missing', 'loc': ('query', 'path'), 'msg': 'Field required'}]")
		return
	}
	path := pathOf(ctx)
	name, err := s.files.DownloadName(path)
	if err != nil {
		detail(ctx, fasthttp.StatusInternalServerError, textOf(err))
		return
	}
	ctx.SetContentType("application/zip")
	ctx.Response.Header.Set("Content-Disposition", disposition(name))
	ctx.SetBodyStream(written(func(w io.Writer) error {
		err := s.files.Download(path, w)
		if err != nil && sandbox.CodeOf(err) != sandbox.Canceled {
			s.log.Debug("a download", "err", err)
		}
		return err
	}), -1)
}

// sentName is the part's file name as it was sent.
func sentName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || params["filename"] == "" {
		return part.FileName()
	}
	return params["filename"]
}

// disposition names the file of an answer, as the original does: what is not plain is escaped.
func disposition(name string) string {
	if escaped := strings.ReplaceAll(url.QueryEscape(name), "+", "%20"); escaped != name {
		return "attachment; filename*=utf-8''" + escaped
	}
	return `attachment; filename="` + name + `"`
}
