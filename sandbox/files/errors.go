package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// fail makes err, met by op on path, an error for another package; one that is that already stays as it is.
func fail(op, path string, err error) error {
	if e, ok := errors.AsType[*sandbox.Error](err); ok {
		return e
	}
	return &sandbox.Error{Code: codeOf(err), Op: "files." + op, Err: fmt.Errorf("%.300q: %w", path, reason(err))}
}

// refuse is an error of a code with a text of ours.
func refuse(code sandbox.Code, op, path, format string, a ...any) error {
	return &sandbox.Error{Code: code, Op: "files." + op, Err: fmt.Errorf("%.300q: %w", path, fmt.Errorf(format, a...))}
}

// codeOf is what a caller can do about what the system said.
func codeOf(err error) sandbox.Code {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return sandbox.Canceled
	}
	if errors.Is(err, errNotRegular) {
		return sandbox.Invalid
	}
	errno, ok := errnoOf(err)
	if !ok {
		return sandbox.Internal
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR:
		return sandbox.NotFound
	case syscall.EACCES, syscall.EPERM, syscall.EROFS:
		return sandbox.Denied
	case syscall.EEXIST, syscall.ENOTEMPTY, syscall.ETXTBSY, syscall.EBUSY:
		return sandbox.Conflict
	case syscall.EISDIR, syscall.EINVAL, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.ENXIO, syscall.ENODEV, syscall.EFBIG:
		return sandbox.Invalid
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return sandbox.Exhausted
	}
	return sandbox.Internal
}

// errnoOf is what the system said, or would have said where package os answers for it without an exported value.
func errnoOf(err error) (syscall.Errno, bool) {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno, true
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		switch e.Err.Error() {
		case "not a directory": // os.OpenRoot
			return syscall.ENOTDIR, true
		case "path escapes from parent": // os.Root, in a race: follow has looked before
			return syscall.EACCES, true
		}
	}
	return 0, false
}

// reason is err without the path that our own text names already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// python is err as Python would print it: the editor's texts are made of such.
func python(err error, path string) string {
	errno, ok := errnoOf(err)
	if !ok {
		return reason(err).Error()
	}
	text := errno.Error() // glibc's text, but for a small first letter
	return fmt.Sprintf("[Errno %d] %s%s: %s", int(errno), strings.ToUpper(text[:1]), text[1:], pythonQuote(path))
}

// pythonQuote is s as Python's repr shows it, near enough.
func pythonQuote(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if strings.Contains(q, "'") && !strings.Contains(q, `"`) {
		return `"` + q + `"`
	}
	return "'" + strings.ReplaceAll(q, "'", `\'`) + "'"
}

// pythonList is v as Python prints a list of integers.
func pythonList(v []int) string {
	return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
}
