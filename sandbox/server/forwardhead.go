package server

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// hopByHop are the headers that concern a single connection: RFC 9110, section 7.6.1, and older ones. A connection names
// more of them in Connection. Expect is not one of them, but has been answered.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authorization", "Expect"}

// ours are what the headers of the native form begin with.
const ours = "Sandtree-"

// chunks is the length of a body that comes in chunks, as the library says it.
const chunks = -1

// prepare makes the head of the request that is sent.
func (f *forwarding) prepare(ctx *fasthttp.RequestCtx, key string, rewrite func(*fasthttp.RequestHeader)) {
	var h fasthttp.RequestHeader
	ctx.Request.Header.CopyTo(&h)
	h.SetNoDefaultContentType(true)
	protocol := ""
	if f.upgrade = h.ConnectionUpgrade() && len(h.Peek("Upgrade")) > 0; f.upgrade {
		protocol = string(h.Peek("Upgrade"))
	}
	for _, name := range perConnection(h.PeekAll("Connection"), h.All()) {
		h.Del(name)
	}
	if v, ok := strings.CutPrefix(string(h.Peek("Authorization")), "Bearer "); ok && key != "" && subtle.ConstantTimeCompare([]byte(v), []byte(key)) == 1 {
		h.Del("Authorization")
	}
	length := ctx.Request.Header.ContentLength()
	if f.chunked = length == chunks; f.chunked || length > 0 {
		f.body = streamedBody(ctx)
	}
	h.Del("Content-Length")
	if rewrite != nil {
		rewrite(&h)
	}
	f.head = appendRequest(nil, &h)
	switch {
	case f.chunked:
		f.head = append(f.head, "Transfer-Encoding: chunked\r\n"...)
	case length > 0 || length == 0 && len(ctx.Request.Header.Peek("Content-Length")) > 0:
		f.head = fmt.Appendf(f.head, "Content-Length: %d\r\n", length)
	}
	if f.upgrade {
		f.head = append(f.head, "Connection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"...)
	} else {
		f.head = append(f.head, "Connection: close\r\n\r\n"...)
	}
}

// perConnection are the headers that are not to be passed on: those of a single connection, which it names itself too,
// and ours.
func perConnection(connection [][]byte, all iter.Seq2[[]byte, []byte]) []string {
	names := slices.Clone(hopByHop)
	for _, v := range connection {
		for name := range strings.SplitSeq(string(v), ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	for k := range all {
		if len(k) >= len(ours) && strings.EqualFold(string(k[:len(ours)]), ours) || strings.EqualFold(string(k), wire.HeaderKey) {
			names = append(names, string(k))
		}
	}
	return names
}

// appendRequest appends the first line and the headers of a request, without those that say where it ends.
func appendRequest(dst []byte, h *fasthttp.RequestHeader) []byte {
	dst = append(dst, h.Method()...)
	dst = append(dst, ' ')
	dst = append(dst, h.RequestURI()...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	for k, v := range h.All() {
		dst = appendHeader(dst, k, v)
	}
	return dst
}

// appendAnswer appends the head of an answer as the client gets it.
func appendAnswer(dst []byte, h *fasthttp.ResponseHeader, chunked bool) []byte {
	status, length := h.StatusCode(), h.ContentLength()
	protocol := string(h.Peek("Upgrade"))
	for _, name := range perConnection(h.PeekAll("Connection"), h.All()) {
		h.Del(name)
	}
	h.Del("Content-Length")
	dst = fmt.Appendf(dst, "HTTP/1.1 %03d %s\r\n", status, fasthttp.StatusMessage(status))
	for k, v := range h.All() {
		dst = appendHeader(dst, k, v)
	}
	switch {
	case status == fasthttp.StatusSwitchingProtocols:
		return append(dst, "Connection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"...)
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length >= 0 && status != fasthttp.StatusNoContent:
		dst = append(dst, "Content-Length: "+strconv.Itoa(length)+"\r\n"...)
	}
	return append(dst, "Connection: close\r\n\r\n"...)
}

// appendHeader appends a header, unless its name is none: what is read here as one name may be read otherwise elsewhere.
func appendHeader(dst, k, v []byte) []byte {
	if len(k) == 0 || bytes.ContainsFunc(k, notToken) || bytes.ContainsAny(v, "\r\n\x00") {
		return dst
	}
	dst = append(append(dst, k...), ": "...)
	return append(append(dst, v...), "\r\n"...)
}

// notToken says whether r is nothing that a name has: RFC 9110, section 5.6.2.
func notToken(r rune) bool {
	letter := 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// relay copies until src ends, with buf, each piece as it comes, in chunks if asked. A failure of dst is given as it is.
func relay(dst io.Writer, src io.Reader, chunked bool, buf []byte) error {
	const room = 8 // before the piece: its length, and the end of the line
	for {
		n, err := src.Read(buf[room : len(buf)-2])
		if n > 0 {
			from, to := room, room+n
			if chunked {
				length := strconv.FormatInt(int64(n), 16) + "\r\n"
				from -= copy(buf[room-len(length):], length)
				to += copy(buf[to:], "\r\n")
			}
			if _, err := dst.Write(buf[from:to]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if chunked {
				_, err := io.WriteString(dst, "0\r\n\r\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writer is w whose errors are all err.
type writer struct {
	io.Writer
	err error
}

func (w writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = w.err
	}
	return n, err
}

// onlyReader hides what else a reader can do, which is for io.CopyBuffer to use the buffer.
type onlyReader struct{ io.Reader }

// failIn answers with an error in the native form or in that of OpenHands.
func failIn(ctx *fasthttp.RequestCtx, native bool, err error) {
	if native {
		ctx.Response.Header.Set(wire.HeaderVersion, strconv.Itoa(wire.Version))
		fail(ctx, err)
		return
	}
	detail(ctx, wire.HTTPStatus(sandbox.CodeOf(err)), textOf(err))
}

func isNative(path []byte) bool { return bytes.HasPrefix(path, nativePrefix) }
