package gvisor

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// coded is an error of this package on its way out, where failed gives it an operation and an id.
type coded struct {
	code sandbox.Code
	error
}

func (c coded) Unwrap() error { return c.error }

var errRemoved = coded{sandbox.NotFound, errors.New("no such sandbox")}

// failed says in err, which is not nil, which operation failed on which sandbox, and what the caller can do about it.
func failed(op string, id sandbox.ID, err error) error {
	return &sandbox.Error{Code: codeOf(err), Op: op, ID: id, Err: err}
}

func codeOf(err error) sandbox.Code {
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	switch {
	case errors.Is(err, held.ErrClosed):
		return sandbox.Unavailable
	case errors.Is(err, held.ErrEnded):
		return sandbox.NotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return sandbox.Canceled
	case errors.Is(err, fs.ErrPermission):
		return sandbox.Denied
	}
	for _, short := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, short) {
			return sandbox.Exhausted
		}
	}
	return sandbox.Internal
}
