package homes

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// coded is an error of a driver on its way out, where Failed gives it an operation and an id.
type coded struct {
	code sandbox.Code
	error
}

func (c coded) Unwrap() error { return c.error }

// Coded says in err, which is on its way to Failed, what the caller can do about it.
func Coded(code sandbox.Code, err error) error { return coded{code, err} }

// ErrRemoved says that there is no such sandbox, or not any more.
var ErrRemoved = Coded(sandbox.NotFound, errors.New("no such sandbox"))

// Failed says in err, which is not nil, which operation failed on which sandbox, and what the caller can do about it.
func Failed(op string, id sandbox.ID, err error) error {
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
