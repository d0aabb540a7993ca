package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// await hands over what the server waits for, and returns when it serves. When it does not, it has ended or shall.
func (s *spawned) await(ctx context.Context, args []string, text string) error {
	ordered, err := json.Marshal(s.order(args))
	if err != nil {
		return err
	}
	s.limit(time.Now().Add(startLimit))
	stop := context.AfterFunc(ctx, func() { s.limit(time.Unix(1, 0)) })
	defer stop()
	for _, part := range []struct {
		pipe *os.File
		text string
	}{{s.asks, string(ordered)}, {s.stdin, text}} {
		if err == nil {
			_, err = part.pipe.WriteString(part.text)
		}
		part.pipe.Close()
	}
	if err == nil {
		_, err = s.ready.Read(make([]byte, 1))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return coded{sandbox.Canceled, fmt.Errorf("before sandboxd was ready: %w", context.Cause(ctx))}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return coded{sandbox.Unavailable, fmt.Errorf("sandboxd is not ready after %v", startLimit)}
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE):
		return err
	}
	s.process.Kill() // one that closes its pipes and goes on is as useless as one that ends
	exit, _ := s.process.Ended()
	if exit.Code == exitCannot {
		return coded{sandbox.Unsupported, errors.New("no sandbox can be made here")}
	}
	return coded{sandbox.Unavailable, fmt.Errorf("sandboxd %v before it was ready", told(exit))}
}

// limit bounds the waiting on the pipes.
func (s *spawned) limit(t time.Time) {
	s.ready.SetReadDeadline(t)
	for _, f := range []*os.File{s.asks, s.stdin} {
		f.SetWriteDeadline(t)
	}
}

// close closes the pipes; the server goes on.
func (s *spawned) close() {
	for _, f := range []*os.File{s.asks, s.stdin, s.ready} {
		f.Close() // of a nil file, or one closed before, an error that says so
	}
}

// startLimit is how long a server may take to serve, if the caller has more patience. The shell gives a .bashrc 20 s, and
// then starts without it.
const startLimit = time.Minute

// lastWords are the last lines of a log, as the end of an error's text.
func lastWords(file string) string {
	const most = 2048 // bytes: the last lines, which tell why; a panic's first ones would need more than anybody reads
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if len(b) > most {
		b = b[len(b)-most:]
		if _, rest, ok := strings.Cut(string(b), "\n"); ok {
			b = []byte(rest)
		}
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "; it said nothing"
	}
	return "; it said:\n" + text
}
