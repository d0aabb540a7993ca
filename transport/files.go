package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// List implements sandbox.Files.
func (c *Client) List(ctx context.Context, path string) ([]string, error) {
	target, err := c.at("List", wire.PathList, path)
	if err != nil {
		return nil, err
	}
	b, err := c.call(ctx, "List", &request{method: "GET", target: target, quiet: fileStall})
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return nil, c.error("List", &failure{code: sandbox.Lost, err: fmt.Errorf("malformed answer: %w", err)})
	}
	return names, nil
}

// Get implements sandbox.Files, in constant memory. It tries again only as long as nothing has been written to w: after
// Lost, w has the beginning of the file, or nothing. A failure of w is Internal.
func (c *Client) Get(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, "Get", wire.PathFiles, path, w, 0, "")
}

// GetTree implements sandbox.Files, as Get does.
func (c *Client) GetTree(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, "GetTree", wire.PathTree, path, w, 0, "")
}

// Put implements sandbox.Files, in constant memory. It tries again if r is an io.Seeker, or nothing has been read of it
// yet; it reads from where r stands. A failure of r is Internal, and leaves the old file as it was. ctx does not end a
// Read of r that waits.
func (c *Client) Put(ctx context.Context, path string, r io.Reader) error {
	return c.upload(ctx, "Put", "PUT", wire.PathFiles, path, "", r, 0, "")
}

// PutTree implements sandbox.Files, as Put does; but entries unpacked before a failure stay.
func (c *Client) PutTree(ctx context.Context, path string, r io.Reader) error {
	return c.upload(ctx, "PutTree", "PUT", wire.PathTree, path, "", r, 0, "")
}

// maxPath is the longest path that a system call takes, PATH_MAX; escaped, it still fits the head of a request.
const maxPath = 4096

// at makes the target of a request for path. Code: Invalid.
func (c *Client) at(op, route, path string) (string, error) {
	if len(path) > maxPath {
		return "", c.error(op, &failure{code: sandbox.Invalid, err: fmt.Errorf("a path of %d bytes: at most %d", len(path), maxPath)})
	}
	return route + "?path=" + url.QueryEscape(path), nil
}

// transferBuffer is how much of a file is in memory, in bytes: more is not faster, less is.
const transferBuffer = 256 << 10

var transferBuffers = sync.Pool{New: func() any { b := make([]byte, transferBuffer); return &b }}

// download streams an answer to w. since is the version that has what is asked, extra goes into the request's head.
func (c *Client) download(ctx context.Context, op, route, path string, w io.Writer, since int, extra string) error {
	target, err := c.at(op, route, path)
	if err != nil {
		return err
	}
	r := &request{method: "GET", target: target, quiet: fileStall, since: since, extra: extra}
	var t tries
	for {
		n, f := c.receive(ctx, r, w)
		if f == nil {
			return nil
		}
		if n > 0 {
			f.final = true
		}
		if f = c.pause(ctx, &t, f); f != nil {
			return c.error(op, r.verdict(f))
		}
	}
}

// receive tries once. It returns how much was written to w.
func (c *Client) receive(ctx context.Context, r *request, w io.Writer) (n int64, f *failure) {
	k, f := c.open(ctx, r)
	if f != nil {
		return 0, f
	}
	defer func() { c.release(k, r, f == nil) }()
	buf := transferBuffers.Get().(*[]byte)
	defer transferBuffers.Put(buf)
	for {
		m, err := (*body)(k).Read(*buf)
		if m > 0 {
			written, werr := w.Write((*buf)[:m])
			n += int64(written)
			if werr != nil {
				return n, &failure{code: sandbox.Internal, err: fmt.Errorf("write what was got: %w", werr), final: true}
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, c.cut(ctx, k, "read the answer", err)
		}
	}
}

// upload streams r as the body of a request, with args after the path.
func (c *Client) upload(ctx context.Context, op, method, route, path, args string, r io.Reader, since int, extra string) error {
	target, err := c.at(op, route, path)
	if err != nil {
		return err
	}
	u := newUpload(r)
	q := &request{method: method, target: target + args, stream: u, quiet: fileStall, since: since, extra: extra}
	var t tries
	for {
		_, f := c.ask(ctx, q)
		if f == nil {
			return nil
		}
		if !u.rewind() {
			f.final = true
		}
		if f = c.pause(ctx, &t, f); f != nil {
			return c.error(op, q.verdict(f))
		}
	}
}
