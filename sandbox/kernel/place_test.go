package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// Who may write nowhere is told at once, and not asked to wait until that has changed.
func TestPlaceThatCannotBe(t *testing.T) {
	for err, want := range map[error]sandbox.Code{
		&fs.PathError{Op: "mkdir", Path: "/tmp/x", Err: syscall.EACCES}: sandbox.Unsupported, fmt.Errorf("x: %w", fs.ErrNotExist): sandbox.Unsupported,
		syscall.EROFS: sandbox.Unsupported, syscall.ENOSPC: sandbox.Unavailable, errors.New("else"): sandbox.Unavailable,
	} {
		if got := placeCode(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
