package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// A viewer shows files as pages to a browser in the sandbox: a second server, without a key. It answers clients of this
// machine alone, shows what the sandbox's own programs may read and nothing else, and is of no use to a page from
// elsewhere: its name must be localhost's, and what it shows cannot be made part of another page.
type viewer struct {
	s     *Server
	ln    net.Listener
	http  *fasthttp.Server
	conns *conns
	turns chan struct{} // has room for as many pages as may be made or on their way at a time

	serving sync.WaitGroup
}

const (
	maxViews  = 4        // at a time: each holds a file and its page
	maxViewed = 32 << 20 // bytes of a file
	viewTime  = 30 * time.Second
)

// startViewer serves on Config.Viewer and writes down where.
func (s *Server) startViewer() *viewer {
	if s.config.Viewer == nil {
		return nil
	}
	v := &viewer{s: s, ln: s.config.Viewer, conns: newConns(), turns: make(chan struct{}, maxViews)}
	v.http = &fasthttp.Server{Handler: v.handle, ErrorHandler: malformed, ConnState: v.conns.note, Logger: logger{s.log},
		ReadTimeout: headTime, WriteTimeout: viewTime, IdleTimeout: idle, MaxRequestBodySize: 1, Concurrency: 64,
		NoDefaultServerHeader: true, NoDefaultDate: true, SecureErrorLogMessage: true}
	v.serving.Go(func() {
		if err := v.http.Serve(lasting{v.ln}); err != nil && s.life.Err() == nil {
			s.log.Warn("the file viewer has ended", "err", err)
		}
	})
	if file := s.config.ViewerFile; file != "" {
		if err := writeInPlace(file, v.address()); err != nil {
			s.log.Warn("the address of the file viewer cannot be written down", "err", err)
		}
	}
	return v
}

func (v *viewer) port() int {
	if a, ok := v.ln.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func (v *viewer) address() string { return "http://localhost:" + strconv.Itoa(v.port()) }

// writeInPlace makes a file that all may read, whatever is there: a link is replaced and not followed.
func writeInPlace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Close ends it, and takes its address back.
func (v *viewer) Close() error {
	if v == nil {
		return nil
	}
	err := v.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	v.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), viewTime)
	defer cancel()
	err = errors.Join(err, v.conns.drain(ctx, answerGrace))
	if file := v.s.config.ViewerFile; holds(file, v.address()) {
		os.Remove(file)
	}
	return err
}

// holds says whether a file has that text and nothing else. Programs may have put anything there, and nothing of it is
// waited for or read to its end.
func holds(path, text string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
	return err == nil && string(b) == text
}

func (v *viewer) handle(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"+drawDigest+"'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	path := string(ctx.Path())
	switch {
	case !v.local(ctx):
		page(ctx, fasthttp.StatusForbidden, "Access Denied", "This viewer is only accessible from localhost.")
	case path != "/" && path != "/view":
		detail(ctx, fasthttp.StatusNotFound, "Not Found")
	case !ctx.IsGet():
		h.Set("Allow", fasthttp.MethodGet)
		detail(ctx, fasthttp.StatusMethodNotAllowed, methodDetail)
	case path == "/":
		ctx.SetContentType("application/json")
		ctx.SetBodyString(`{"status":"File viewer server is running"}`)
	case !ctx.QueryArgs().Has("path"):
		ctx.SetStatusCode(fasthttp.StatusUnprocessableEntity)
		ctx.SetContentType("application/json")
		ctx.SetBodyString(`{"detail":[{"type":"missing","loc":["query","path"],"msg":"Field required","input":null}]}`)
	default:
		v.view(ctx, string(ctx.QueryArgs().Peek("path")))
	}
}

// local says whether the client is on this machine and knows it: a page of another name that was made to lead here, by
// its owner's name server, asks by that name.
func (v *viewer) local(ctx *fasthttp.RequestCtx) bool {
	if !ctx.RemoteIP().IsLoopback() {
		return false
	}
	host := string(ctx.Host())
	if name, port, err := net.SplitHostPort(host); err == nil {
		if port != strconv.Itoa(v.port()) {
			return false
		}
		host = name
	}
	switch strings.ToLower(strings.Trim(host, "[]")) {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

// view answers with a page that shows a file.
func (v *viewer) view(ctx *fasthttp.RequestCtx, path string) {
	select {
	case v.turns <- struct{}{}:
	case <-v.s.life.Done():
		page(ctx, fasthttp.StatusServiceUnavailable, "Error viewing file", "The server of the sandbox is stopping. Load the page again when the next one is there.")
		return
	}
	shown := v.answer(ctx, path)
	if shown == nil {
		<-v.turns
		return
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBodyStream(&turnReader{*bytes.NewReader(shown), v.turns}, len(shown))
}

// A turnReader gives back the turn when its page has been sent, or will not be: a client that reads nothing holds no more
// memory than maxViews of them, and for no longer than viewTime.
type turnReader struct {
	bytes.Reader
	turns chan struct{}
}

// Close implements io.Closer; the library calls it once.
func (r *turnReader) Close() error {
	<-r.turns
	return nil
}

// answer makes the page of a file, or answers with an error and gives nil.
func (v *viewer) answer(ctx *fasthttp.RequestCtx, path string) []byte {
	if !filepath.IsAbs(path) {
		page(ctx, fasthttp.StatusBadRequest, "Error: Path must be absolute", path)
		return nil
	}
	f, err := v.s.openAsUser(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		page(ctx, fasthttp.StatusNotFound, "Error: File not found", path)
		return nil
	case err != nil:
		page(ctx, fasthttp.StatusInternalServerError, "Error viewing file", reasonOf(err))
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		page(ctx, fasthttp.StatusBadRequest, "Error: Path is a directory", path)
		return nil
	}
	shown, err := v.show(f, info, filepath.Base(path), err)
	if err != nil {
		page(ctx, fasthttp.StatusInternalServerError, "Error viewing file", reasonOf(err))
	}
	return shown
}

// show makes the page of a file.
func (v *viewer) show(f *os.File, info fs.FileInfo, name string, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	ext := strings.ToLower(filepath.Ext(name))
	mime := viewed[ext]
	switch {
	case mime == "":
		return nil, unviewable(ext)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > maxViewed:
		return nil, fmt.Errorf("it has %d bytes, and no more than %d are shown", info.Size(), maxViewed)
	case ext == ".pdf":
		return v.showPDF(f, name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxViewed))
	if err != nil {
		return nil, err
	}
	return imagePage(name, mime, b), nil
}

// unviewable is the extension of a file that is not shown, as an error in the original's words.
type unviewable string

func (ext unviewable) Error() string {
	return "Unsupported file extension: " + string(ext) + ". Supported extensions are: .pdf, .png, .jpg, .jpeg, .gif"
}

// reasonOf is err without the path.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
