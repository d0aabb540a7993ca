package homes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// startLimit is how long a server may take to serve, if the caller has more patience. The shell gives a .bashrc 20 s, and
// then starts without it.
const startLimit = time.Minute

// Pipes are our ends of those by which a server that is being started is told what it must know, and says that it serves.
type Pipes struct {
	Ready *os.File    // it writes a byte when it serves
	Told  [3]*os.File // it reads; nil is none
}

// Within bounds all writing and reading by startLimit and by ctx, until done is called.
func (s Pipes) Within(ctx context.Context) (done func() bool) {
	s.limit(time.Now().Add(startLimit))
	return context.AfterFunc(ctx, func() { s.limit(time.Unix(1, 0)) })
}

func (s Pipes) limit(t time.Time) {
	s.Ready.SetReadDeadline(t)
	for _, f := range s.Told {
		f.SetWriteDeadline(t)
	}
}

// Close closes them; the server goes on.
func (s Pipes) Close() {
	s.Ready.Close() // of a nil file, or one closed before, an error that says so
	for _, f := range s.Told {
		f.Close()
	}
}

// Tell gives a server the environment of its programs, and its key. Each variable is ended by a NUL byte, which none can have. The key
// comes last: should we die meanwhile, there is no server whose programs lack some of their environment, and with it their mark.
func Tell(envPipe, keyPipe *os.File, env []string, key string) error {
	_, err := envPipe.WriteString(strings.Join(env, "\x00") + "\x00")
	envPipe.Close()
	if err == nil {
		_, err = keyPipe.WriteString(key)
	}
	keyPipe.Close()
	return err
}

// Await returns when the server serves; err is how telling it what it must know ended. When it does not serve, it has ended or shall.
func (s Pipes) Await(ctx context.Context, p *held.Process, err error, told func(held.Exit) sandbox.Exit) error {
	if err == nil {
		_, err = s.Ready.Read(make([]byte, 1))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return Coded(sandbox.Canceled, fmt.Errorf("before sandboxd was ready: %w", context.Cause(ctx)))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Coded(sandbox.Unavailable, fmt.Errorf("sandboxd is not ready after %v", startLimit))
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE):
		return err
	}
	p.Kill() // one that closes its pipes and goes on is as useless as one that ends
	exit, _ := p.Ended()
	return Coded(sandbox.Unavailable, fmt.Errorf("sandboxd %v before it was ready", told(exit)))
}

// LastWords are the last lines of a log, as the end of an error's text.
func LastWords(file string) string {
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
