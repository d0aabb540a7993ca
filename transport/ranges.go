package transport

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// GetRange streams the n bytes of a file from offset on to w, or as many as there are; a negative n is all. As Get
// otherwise. Code: Invalid also if the file ends before offset.
func (c *Client) GetRange(ctx context.Context, path string, offset, n int64, w io.Writer) error {
	if offset < 0 || n == 0 {
		return c.error("GetRange", &failure{code: sandbox.Invalid, err: fmt.Errorf("no range: %d bytes from %d on", n, offset)})
	}
	last := int64(-1)
	if n > 0 {
		last = offset + min(n, math.MaxInt64-offset) - 1
	}
	return c.download(ctx, "GetRange", &pull{request: request{since: native}, route: wire.PathFiles, path: path, w: w, first: offset, last: last})
}

// PutOptions say how a file is put.
type PutOptions struct {
	Mode fs.FileMode // permissions; 0 leaves those of the old file, or makes usual ones
	// Checked reads what is to be put twice: its SHA-256 goes before it, and the server keeps the old file if what has come
	// differs. What is put must be an io.Seeker then.
	Checked bool
}

// PutFile is Put with options. Code: Invalid also if what has come is not what was sent.
func (c *Client) PutFile(ctx context.Context, path string, r io.Reader, o PutOptions) error {
	extra, args, since := "", "", 0
	if o.Mode != 0 {
		args = "&mode=" + strconv.FormatUint(uint64(o.Mode.Perm()), 8)
	}
	if o.Checked {
		sum, err := digest(r)
		if err != nil {
			return c.error("PutFile", &failure{code: sandbox.Internal, err: err})
		}
		extra, since = wire.HeaderDigest+": "+sum+"\r\n", native
	}
	return c.upload(ctx, "PutFile", "PUT", wire.PathFiles, path, args, r, since, extra)
}

// WriteAt writes what r gives over the bytes of a file from offset on, in place, and makes the file if there is none.
// After Lost some of it may have been written.
func (c *Client) WriteAt(ctx context.Context, path string, offset int64, r io.Reader) error {
	if offset < 0 {
		return c.error("WriteAt", &failure{code: sandbox.Invalid, err: fmt.Errorf("offset %d", offset)})
	}
	return c.upload(ctx, "WriteAt", "PATCH", wire.PathFiles, path, "&offset="+strconv.FormatInt(offset, 10), r, native, "")
}

// digest is the SHA-256 of what r gives from where it stands, in RFC 9530's form; r is left where it was.
func digest(r io.Reader) (string, error) {
	s, ok := r.(io.ReadSeeker)
	if !ok {
		return "", errors.New("what is to be put cannot be read twice: give an io.Seeker, or do not have it checked")
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, s); err != nil {
		return "", err
	}
	if _, err := s.Seek(at, io.SeekStart); err != nil {
		return "", err
	}
	return "sha-256=:" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + ":", nil
}
