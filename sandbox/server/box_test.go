package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

const key = "correct horse"

// A box is a server in this process, on a Unix socket, with a real bash.
type box struct {
	*server.Server
	t      testing.TB
	dir    string // working directory
	socket string
	client *http.Client
	served chan error
}

// start starts a server and waits until it is ready.
func start(t testing.TB, change func(*server.Config)) *box {
	t.Helper()
	b := begin(t, change)
	select {
	case <-b.Ready():
	case err := <-b.served:
		t.Fatalf("not ready: %v", err)
	}
	return b
}

// begin starts a server.
func begin(t testing.TB, change func(*server.Config)) *box {
	t.Helper()
	need.Tool(t, "bash")
	if t, ok := t.(*testing.T); ok {
		leak.Check(t)
	}
	root, err := os.MkdirTemp("", "box-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	b := &box{t: t, dir: filepath.Join(root, "work"), socket: filepath.Join(root, "sock"), served: make(chan error, 1)}
	c := server.Config{Key: key, Dir: b.dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "LANG=C.UTF-8"},
		Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
	if change != nil {
		change(&c)
	}
	b.dir = c.Dir
	if b.Server, err = server.New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { b.served <- b.Serve(ln) }()
	transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}}
	b.client = &http.Client{Transport: documented{t, transport}}
	t.Cleanup(func() {
		b.stop()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *box) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), time.Minute)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		b.t.Errorf("shutdown: %v", err)
	}
	if err := <-b.served; err != nil {
		b.t.Errorf("serve: %v", err)
	}
	b.served <- nil
}

type testLog struct{ testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.Logf("server: %s", bytes.TrimSpace(p))
	return len(p), nil
}

// request makes a request with the key; header pairs may change that.
func (b *box) request(method, path, body string, header ...string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, "http://sandbox"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set(wire.HeaderKey, key)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// do sends a request and gives the status and the body.
func (b *box) do(method, path, body string, header ...string) (int, string) {
	b.t.Helper()
	return b.send(b.request(method, path, body, header...))
}

func (b *box) send(r *http.Request) (int, string) {
	b.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return response.StatusCode, string(got)
}

// execute sends an event in the OpenHands form.
func (b *box) execute(event string) (int, string) {
	b.t.Helper()
	return b.do("POST", "/execute_action", `{"action":`+event+`}`)
}

// A seen is what came of a native action.
type seen struct {
	status int
	output string
	gap    bool // output was missing in the middle
	sandbox.Observation
	err error // of an error frame or an error answer
}

// native performs an action in the native form.
func (b *box) native(id string, args sandbox.Args, header ...string) seen {
	b.t.Helper()
	return b.follow(b.request("POST", wire.PathActions+id, event(args), header...))
}

// again asks for an action that was sent before.
func (b *box) again(id string, offset int, header ...string) seen {
	b.t.Helper()
	return b.follow(b.request("GET", wire.PathActions+id+"?offset="+strconv.Itoa(offset), "", header...))
}

func event(args sandbox.Args) string {
	return string(wire.AppendAction(nil, sandbox.Action{Args: args}))
}

func run(command string) sandbox.RunArgs { return sandbox.RunArgs{Command: command} }

func (b *box) follow(r *http.Request) seen {
	b.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return seen{err: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		return seen{status: response.StatusCode, err: wire.ParseError(body, response.StatusCode)}
	}
	s := seen{status: response.StatusCode}
	next := uint64(0)
	for frames := wire.NewFrameReader(response.Body); ; {
		f, err := frames.Next()
		if err != nil {
			b.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			s.err = err
			return s
		}
		switch f.Type {
		case wire.FrameOutput:
			s.gap = s.gap || s.output != "" && f.Offset != next
			s.output += string(f.Payload)
			next = f.Offset + uint64(len(f.Payload))
		case wire.FrameError:
			s.err = wire.ParseError(f.Payload, 0)
			return s
		case wire.FrameDone:
			if s.Observation, err = parseEither(f.Payload); err != nil {
				b.t.Error(err)
			}
			if _, err := frames.Next(); !errors.Is(err, io.EOF) {
				b.t.Errorf("after the last frame: %v, want the end", err)
			}
			return s
		}
	}
}

// parseEither reads an observation in either form. What a server adds in the native one, the time and itself, is left out.
func parseEither(b []byte) (sandbox.Observation, error) {
	return wire.ParseObservation(wire.ReformObservation(b, false))
}

// exit is the exit code of a command; -1 of anything else.
func (s seen) exit() int {
	if r, ok := s.Result.(sandbox.RunResult); ok {
		return r.Metadata.ExitCode
	}
	return -1
}

// wantRun checks the answer to a command.
func (s seen) wantRun(t testing.TB, exit int, content string) {
	t.Helper()
	if s.err != nil || s.exit() != exit || s.Content != content {
		t.Errorf("error %v, exit %d, content %.300q; want exit %d, %.300q", s.err, s.exit(), s.Content, exit, content)
	}
}

func (s seen) wantCode(t testing.TB, code sandbox.Code) {
	t.Helper()
	if s.err == nil || sandbox.CodeOf(s.err) != code {
		t.Errorf("status %d, error %v, observation %.200v; want code %s", s.status, s.err, s.Observation, code)
	}
}
