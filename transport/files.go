package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

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

// Get implements sandbox.Files, in constant memory. After a cut it asks for the rest; if the file has changed meanwhile, or
// has no entity tag (an old server), that is Lost. After any error w has the beginning of the file, or nothing. A failure of w
// is Internal.
func (c *Client) Get(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, "Get", &pull{route: wire.PathFiles, path: path, w: w, last: -1})
}

// GetTree implements sandbox.Files, as Get does; but an archive is made as it goes, and once some of it has been written a
// cut is Lost.
func (c *Client) GetTree(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, "GetTree", &pull{route: wire.PathTree, path: path, w: w, last: -1})
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
