package server

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// hashes are those that a digest can be of (RFC 9530), the cheapest first.
var hashes = []struct {
	name string
	make func() hash.Hash
}{{"sha-256", sha256.New}, {"sha-512", sha512.New}}

func hashOf(name string) func() hash.Hash {
	for _, h := range hashes {
		if strings.EqualFold(h.name, name) {
			return h.make
		}
	}
	return nil
}

// A bodyDigest is what a body is to hash to.
type bodyDigest struct {
	name string
	sum  []byte
	hash hash.Hash
}

// parseDigest reads a Content-Digest or Repr-Digest header, a dictionary of byte sequences (RFC 8941), and gives the first
// digest that we can check. Others are passed over, but not all: who sends one wants it checked. Code: Invalid.
func parseDigest(header string) (*bodyDigest, error) {
	for member := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		make := hashOf(name)
		if make == nil {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		sum, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(value), ":"), ":"))
		if h := make(); err == nil && len(sum) == h.Size() {
			return &bodyDigest{strings.ToLower(name), sum, h}, nil
		}
		return nil, refused(sandbox.Invalid, "files", fmt.Sprintf("the digest %.100q is none: send sha-256=:BASE64:", member))
	}
	return nil, refused(sandbox.Invalid, "files", fmt.Sprintf("no digest in %.100q can be checked here: send sha-256 or sha-512", header))
}

// digestOf is what the body of the request is to hash to, or, without a sum, what is to be computed of it; nil if neither.
func digestOf(ctx *fasthttp.RequestCtx) (*bodyDigest, error) {
	for _, name := range []string{wire.HeaderReprDigest, wire.HeaderDigest} { // the same, as there is no coding
		if v := ctx.Request.Header.Peek(name); len(v) > 0 {
			return parseDigest(string(v))
		}
	}
	name, err := wantedDigest(ctx)
	if err != nil || name == "" {
		return nil, err
	}
	return &bodyDigest{name: name, hash: hashOf(name)()}, nil
}

// String is what was hashed so far, as the headers have it.
func (d *bodyDigest) String() string {
	return d.name + "=:" + base64.StdEncoding.EncodeToString(d.hash.Sum(nil)) + ":"
}

// verified is a body that fails at its end if it is not what its digest says.
type verified struct {
	r io.Reader
	*bodyDigest
}

func (v verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF && v.sum != nil && subtle.ConstantTimeCompare(v.hash.Sum(nil), v.sum) == 0 {
		err = refused(sandbox.Invalid, "files", "the body does not have the "+v.name+" digest that was sent with it: send it again")
	}
	return n, err
}

// wantedDigest is the name of the hash that a client wants of a file: the one that it likes best, "" if none.
func wantedDigest(ctx *fasthttp.RequestCtx) (string, error) {
	if v := string(ctx.QueryArgs().Peek("checksum")); v != "" {
		for _, h := range hashes {
			if strings.EqualFold(v, h.name) || strings.EqualFold(v, strings.ReplaceAll(h.name, "-", "")) {
				return h.name, nil
			}
		}
		return "", refused(sandbox.Invalid, "files", fmt.Sprintf("no checksum is called %.20q here: there are sha256 and sha512", v))
	}
	return bestDigest(string(ctx.Request.Header.Peek(wire.HeaderWantDigest))), nil
}

// bestDigest reads a Want-Repr-Digest header: names with weights from 0, never, to 10.
func bestDigest(header string) (name string) {
	most := 0
	for member := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		weight, err := strconv.Atoi(value)
		if err == nil && weight > most && weight <= 10 && hashOf(key) != nil {
			name, most = strings.ToLower(key), weight
		}
	}
	return name
}

// reprDigest is the digest of size bytes of a file as the Repr-Digest header has it.
func reprDigest(name string, f io.ReaderAt, size int64) (string, error) {
	d := &bodyDigest{name: name, hash: hashOf(name)()}
	_, err := io.CopyBuffer(d.hash, io.NewSectionReader(f, 0, size), make([]byte, chunk))
	return d.String(), err
}
