package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"zombiezen.com/go/sqlite"

	"github.com/sandtree/sandtree/sandbox"
)

var errClosed = errors.New("the journal is closed")

// refuse makes an error that failure completes with operation and id.
func refuse(code sandbox.Code, format string, args ...any) error {
	return &sandbox.Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// refused says whether err is a refusal, and not a failure of the file.
func refused(err error) bool {
	_, ok := errors.AsType[*sandbox.Error](err)
	return ok
}

// joined is errors.Join that leaves a single error as it is.
func joined(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return errors.Join(err, more)
}

// failure makes the error that a caller sees of what SQLite or the system says.
func failure(op string, id sandbox.ID, path string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sandbox.Error](err); ok {
		return &sandbox.Error{Code: e.Code, Op: op, ID: id, Err: e.Err}
	}
	if errors.Is(err, errClosed) {
		return &sandbox.Error{Code: sandbox.Unavailable, Op: op, ID: id, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &sandbox.Error{Code: sandbox.Canceled, Op: op, ID: id, Err: err}
	}
	code, advice := explain(err)
	if advice != "" {
		err = fmt.Errorf("%s: %s: %w", path, advice, err)
	} else {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return &sandbox.Error{Code: code, Op: op, ID: id, Err: err}
}

// explain says what a failure of the file means and what to do about it.
func explain(err error) (sandbox.Code, string) {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return sandbox.Exhausted, "the disk is full, free some space"
	case sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultAuth:
		return sandbox.Denied, "the file cannot be written to, give another state directory or change its permissions"
	case sqlite.ResultNotADB, sqlite.ResultCorrupt:
		return sandbox.Invalid, "this is no journal, or it is damaged; move it away to begin a new one"
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return sandbox.Unavailable, "another process holds the file's lock for too long"
	case sqlite.ResultCantOpen:
		return sandbox.Denied, "the file cannot be opened, give another state directory or change its permissions"
	case sqlite.ResultTooBig, sqlite.ResultConstraint:
		return sandbox.Invalid, ""
	}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return sandbox.Denied, "give another state directory or change its permissions"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return sandbox.Exhausted, "the disk is full, free some space"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return sandbox.Exhausted, "too many open files or inotify instances, see `ulimit -n` and fs.inotify.max_user_instances"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		return sandbox.Invalid, "want the name of a file in a directory"
	case errors.Is(err, errTurn):
		return sandbox.Unavailable, "another process holds the file's lock for too long"
	}
	return sandbox.Internal, ""
}
