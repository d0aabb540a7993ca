package docker

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/sandtree/sandtree/backends"
)

var _ backends.LogStreamer = (*instance)(nil)

// Logs gives what the sandbox's server has said, of which the engine keeps the last megabyte or two.
func (i *instance) Logs(ctx context.Context, follow bool) (io.ReadCloser, error) {
	raw, err := i.d.engine.ContainerLogs(ctx, i.container.id, container.LogsOptions{ShowStderr: true, Follow: follow})
	if err != nil {
		return nil, failed("docker.Logs", i.label.ID, err)
	}
	r, w := io.Pipe()
	l := &logs{PipeReader: r, raw: raw, done: make(chan struct{})}
	go func() { // ends with raw, which Close closes, and waits for this
		defer close(l.done)
		_, err := stdcopy.StdCopy(w, w, raw)
		w.CloseWithError(err)
	}()
	return l, nil
}

type logs struct {
	*io.PipeReader
	raw  io.Closer
	done chan struct{}
}

func (l *logs) Close() error {
	l.PipeReader.Close()
	err := l.raw.Close()
	<-l.done
	return err
}
