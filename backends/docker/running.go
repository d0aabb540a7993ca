package docker

import (
	"context"

	"github.com/sandtree/sandtree/sandbox"
)

// running is one run of a container: from its start to its end. The next start is another one.
type running struct {
	id      string        // of the container
	started string        // when, as the engine writes it; which run it is. "" while hold looks
	missed  bool          // there was an event while hold looked
	shared  bool          // by all instances of the run; else it is somebody's who drops it
	letgo   chan struct{} // closed when it has ended or is held no more
	ended   bool          // letgo is closed since it has; set before
	exit    sandbox.Exit
}

// wait returns how the run ended.
func (r *running) wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-r.letgo: // first, so that an end long past is told to one whose ctx has ended too
	default:
		select {
		case <-r.letgo:
		case <-ctx.Done():
			return sandbox.Exit{}, coded{sandbox.Canceled, context.Cause(ctx)}
		}
	}
	if !r.ended {
		return sandbox.Exit{}, errClosed
	}
	return r.exit, nil
}
