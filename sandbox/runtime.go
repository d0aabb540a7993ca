package sandbox

import (
	"context"
	"io"
)

// Output receives what an action prints, as it is produced: p begins at byte offset of the action's output, calls come
// one at a time and in order, and p is the receiver's only until it returns. A gap between offsets means that bytes in
// between are no longer held.
type Output func(offset int64, p []byte)

// Runtime performs actions in one sandbox. Safe for concurrent use; actions are performed one at a time.
type Runtime interface {
	// Do performs a and returns what was seen. out, if not nil, is given the output while it is produced, and is not
	// called after Do has returned. ctx bounds the wait, not the action: when it ends, Do returns Canceled and the
	// action goes on. A failure of the command itself is an observation.
	// Codes: Invalid, Conflict (same ID, other body; or fenced by a newer epoch), Denied, Exhausted, Unavailable, Lost,
	// Unsupported, Canceled.
	Do(ctx context.Context, a Action, out Output) (Observation, error)
	// Ping asks for a life sign. Codes: Unavailable, Denied, Canceled.
	Ping(ctx context.Context) error
	Files
}

// Files moves files in and out of one sandbox. A relative path is below the workspace, and nothing (neither ".." nor a
// link) leads out of it; an absolute path must lie below a root that the sandbox's server was told to open.
// Codes of all: Invalid, Denied (path leads outside), NotFound, Unavailable, Lost, Canceled.
type Files interface {
	// List names the entries of a directory, directories first and with a '/' at the end.
	List(ctx context.Context, path string) ([]string, error)
	// Get streams one regular file to w.
	Get(ctx context.Context, path string, w io.Writer) error
	// Put makes or replaces one regular file, atomically: a reader sees the old content or the new. Missing parents are made.
	Put(ctx context.Context, path string, r io.Reader) error
	// GetTree streams a directory as a tar archive to w, names relative to path.
	GetTree(ctx context.Context, path string, w io.Writer) error
	// PutTree unpacks a tar archive below the directory path, which is made. Entries that would leave it are Invalid.
	PutTree(ctx context.Context, path string, r io.Reader) error
}
