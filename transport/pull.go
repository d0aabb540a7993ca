package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// transferBuffer is how much of a file is in memory, in bytes: more is not faster, less is.
const transferBuffer = 256 << 10

var transferBuffers = sync.Pool{New: func() any { b := make([]byte, transferBuffer); return &b }}

// A pull is one download, over any number of connections. What has a strong entity tag is resumed after a cut, by a range
// of that version of it; anything else cannot be once a byte has been written.
type pull struct {
	request
	route, path string
	w           io.Writer
	first, last int64 // offsets of what is asked for; a negative last is the end

	written int64
	tag     string // entity tag; "" is none
	moved   bool   // the last try has brought something
}

// download streams an answer to p.w.
func (c *Client) download(ctx context.Context, op string, p *pull) (err error) {
	p.method, p.quiet = "GET", fileStall
	if p.target, err = c.at(op, p.route, p.path); err != nil {
		return err
	}
	var t tries
	for {
		f := c.receive(ctx, p)
		if f == nil {
			return nil
		}
		if p.moved {
			t.progress()
		}
		if p.written > 0 && p.tag == "" {
			f.final = true
		}
		if f = c.pause(ctx, &t, f); f != nil {
			return c.error(op, p.verdict(f))
		}
		if p.written > 0 {
			count(&c.counts.resumes, &c.config.Figures.Resumes)
		}
	}
}

// receive tries once.
func (c *Client) receive(ctx context.Context, p *pull) (f *failure) {
	p.moved, p.extra = false, p.ranges()
	k, f := c.open(ctx, &p.request)
	if f != nil {
		return f
	}
	defer func() { c.release(k, &p.request, f == nil) }()
	if f := p.begin(k); f != nil {
		return f
	}
	buf := transferBuffers.Get().(*[]byte)
	defer transferBuffers.Put(buf)
	for {
		m, err := (*body)(k).Read(*buf)
		if m > 0 {
			written, werr := p.w.Write((*buf)[:m])
			p.written += int64(written)
			p.moved = true
			if werr != nil {
				return &failure{code: sandbox.Internal, err: fmt.Errorf("write what was got: %w", werr), final: true}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.cut(ctx, k, "read the answer", err)
		}
	}
}

// ranges gives the lines of the head that ask for what has not been written yet.
func (p *pull) ranges() string {
	from := p.first + p.written
	if from == 0 && p.last < 0 {
		return ""
	}
	last := ""
	if p.last >= 0 {
		last = strconv.FormatInt(p.last, 10)
	}
	lines := "Range: bytes=" + strconv.FormatInt(from, 10) + "-" + last + "\r\n"
	if p.written > 0 {
		lines += "If-Range: " + p.tag + "\r\n"
	}
	return lines
}

// begin looks at the head of an answer: it must go on where the last one was cut.
func (p *pull) begin(k *conn) *failure {
	h := &k.answer.Header
	if p.written == 0 {
		if p.tag = string(h.Peek("ETag")); !strings.HasPrefix(p.tag, `"`) { // none, or a weak one
			p.tag = ""
		}
		return nil
	}
	part, _, ok := strings.Cut(strings.TrimPrefix(string(h.Peek("Content-Range")), "bytes "), "-")
	from, err := strconv.ParseInt(part, 10, 64)
	switch {
	case k.answer.StatusCode() != 206:
		return &failure{code: sandbox.Lost, final: true, err: fmt.Errorf("it has changed since its first %d bytes were got: get it again from the beginning", p.written)}
	case !ok || err != nil || from != p.first+p.written:
		return &failure{code: sandbox.Lost, final: true, err: errors.New("malformed answer: another range than was asked for")}
	}
	return nil
}
