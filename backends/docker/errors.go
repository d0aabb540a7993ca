package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// coded is an error of this package on its way out, where failed gives it an operation and an id.
type coded struct {
	code sandbox.Code
	error
}

func (c coded) Unwrap() error { return c.error }

var (
	errClosed  = coded{sandbox.Unavailable, errors.New("the driver has been closed")}
	errRemoved = coded{sandbox.NotFound, errors.New("no such sandbox")}
	errEnded   = coded{sandbox.NotFound, errors.New("its container has ended")}
)

// failed says in err, which is not nil, which operation failed on which sandbox, and what the caller can do about it.
func failed(op string, id sandbox.ID, err error) error {
	code := codeOf(err)
	if client.IsErrConnectionFailed(err) {
		err = fmt.Errorf("the Docker engine does not answer; is it running, and may this user use it (backends.docker.host)? %w", err)
	}
	return &sandbox.Error{Code: code, Op: op, ID: id, Err: err}
}

func codeOf(err error) sandbox.Code {
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return sandbox.Canceled
	case errors.Is(err, held.ErrClosed), client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err):
		if errors.Is(err, fs.ErrPermission) {
			return sandbox.Denied
		}
		return sandbox.Unavailable
	case errors.Is(err, fs.ErrPermission), errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return sandbox.Denied
	}
	for _, short := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, short) {
			return sandbox.Exhausted
		}
	}
	return codeOfText(err)
}

// codeOfText decides by words: what fails between the engine and its runtime comes as text only, most of it as "internal".
func codeOfText(err error) sandbox.Code {
	text := strings.ToLower(err.Error())
	for _, t := range []struct {
		words string
		code  sandbox.Code
	}{
		{"no space left on device", sandbox.Exhausted},
		{"cannot allocate memory", sandbox.Exhausted},
		{"resource temporarily unavailable", sandbox.Exhausted},
		{"too many open files", sandbox.Exhausted},
		{"port is already allocated", sandbox.Exhausted},
		{"all ports are allocated", sandbox.Exhausted},
		{"address already in use", sandbox.Exhausted},
		{"context canceled", sandbox.Unavailable}, // the engine's own, which is being shut down
		{"unauthorized", sandbox.Denied},
		{"pull access denied", sandbox.Denied},
		{"no basic auth credentials", sandbox.Denied},
		{"manifest unknown", sandbox.Invalid},
		{"unknown or invalid runtime", sandbox.Invalid},
		{"unknown runtime", sandbox.Invalid},
		{"bind source path does not exist", sandbox.Invalid},
		{"could not select device driver", sandbox.Unsupported},
	} {
		if strings.Contains(text, t.words) {
			return t.code
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return sandbox.Unavailable // the engine has gone away in the middle
	}
	switch {
	case errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err):
		return sandbox.Invalid // an image, a network or a volume that the configuration names
	case errdefs.IsNotImplemented(err):
		return sandbox.Unsupported
	case errdefs.IsConflict(err), errdefs.IsInternal(err):
		return sandbox.Unavailable // something on the engine's side, which may pass
	}
	return sandbox.Internal
}
