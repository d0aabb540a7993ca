// Package floor is the least that a shell or a program behind a server can cost, to be measured in the same run as the real thing:
// a ratio to it means the same on every machine, a time does not.
//
// StartServer is a fasthttp server on a Unix socket with a bash for each path: a request's body is typed, and what
// comes until a marker is the answer. The bash is Ordinary, as it comes on a terminal, or Stripped of all that can be
// taken away: line editing, echo, CR; or Piped, on no terminal at all. The path /exec runs the body's words as a program
// of its own, by os/exec, and answers with what it printed; /alive is answered with nothing. There is no id, no ledger, no journal, no framing, no time limit, no isolation of
// one command from the next, and a line is at most what a terminal takes, 4095 bytes. StartPipe is a bash on two pipes
// in the same process, the floor of the floor.
package floor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// A DialFunc opens a connection.
type DialFunc = func(ctx context.Context) (net.Conn, error)

// The kinds of bash on a terminal.
const (
	Ordinary = "ordinary" // edits lines and echoes, as anybody's does
	Stripped = "stripped" // neither, and leaves line ends alone
	Piped    = "piped"    // reads and writes pipes, and knows no terminal
)

// StartServer builds the server and starts it as a process of its own, as the one that it is compared with is. Its dialer
// gives connections until close is called, at the latest at the end of tb.
func StartServer(tb testing.TB, kind string) (dial DialFunc, close func()) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "floor") // not tb.TempDir: a socket's path has 108 bytes
	if err != nil {
		tb.Fatal(err)
	}
	program, path := filepath.Join(dir, "server"), filepath.Join(dir, "s")
	build := exec.Command("go", "build", "-o", program, "github.com/sandtree/sandtree/testing/floor/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the floor: %v\n%s", err, out)
	}
	server := exec.Command(program, path, kind)
	server.Stderr = os.Stderr
	ready, err := server.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	alive, err := server.StdinPipe() // it ends when this does, also if we are killed
	if err != nil {
		tb.Fatal(err)
	}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		tb.Fatalf("the floor did not come up: %v", err)
	}
	close = sync.OnceFunc(func() {
		if err := errors.Join(alive.Close(), server.Wait(), os.RemoveAll(dir)); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(close)
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}, close
}

// Serve is the server: it listens at path, says so on out, and serves until in ends.
func Serve(path, kind string, in io.Reader, out io.Writer) error {
	shells := &shells{kind: kind, all: map[string]*bash{}}
	if _, err := shells.at("/"); err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return errors.Join(err, shells.close())
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		out, err := shells.perform(string(ctx.Path()), ctx.PostBody())
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		ctx.SetBody(out)
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	_, err = out.Write([]byte{'\n'})
	_, _ = io.Copy(io.Discard, in)
	return errors.Join(err, shells.close(), l.Close(), <-served)
}

// shells are the bashes of a server by path.
type shells struct {
	kind string
	mu   sync.Mutex
	all  map[string]*bash
}

func (s *shells) perform(path string, body []byte) ([]byte, error) {
	if path == "/alive" {
		return nil, nil
	}
	if path == "/exec" {
		words := strings.Fields(string(body))
		return exec.Command(words[0], words[1:]...).Output()
	}
	shell, err := s.at(path)
	if err != nil {
		return nil, err
	}
	return shell.run(body)
}

func (s *shells) at(path string) (*bash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.all[path]; b != nil {
		return b, nil
	}
	start := func() (*bash, error) { return startTerminal(s.kind) }
	if s.kind == Piped {
		start = startPipe
	}
	b, err := start()
	if err == nil {
		s.all[path] = b
	}
	return b, err
}

func (s *shells) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all {
		err = errors.Join(err, b.close())
	}
	return err
}

// Client gives what runs a command on the server that dial reaches and returns its output, over one kept connection.
func Client(dial DialFunc) (run func(command string) (string, error), close func()) {
	return ClientAt(dial, "/")
}

// ClientAt is Client for a path of the server.
func ClientAt(dial DialFunc, path string) (run func(command string) (string, error), close func()) {
	client := &fasthttp.HostClient{
		Addr: "floor",
		Dial: func(string) (net.Conn, error) { return dial(context.Background()) },
	}
	return func(command string) (string, error) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI("http://floor" + path)
		req.Header.SetMethod("POST")
		req.SetBodyString(command)
		if err := client.Do(req, resp); err != nil {
			return "", err
		}
		if resp.StatusCode() != fasthttp.StatusOK {
			return "", fmt.Errorf("status %d: %s", resp.StatusCode(), resp.Body())
		}
		return string(resp.Body()), nil
	}, client.CloseIdleConnections
}

// StartPipe starts a bash on pipes and gives what runs a command in it and returns its output.
func StartPipe(tb testing.TB) (run func(command string) (string, error), close func()) {
	tb.Helper()
	shell, err := startPipe()
	if err != nil {
		tb.Fatal(err)
	}
	close = sync.OnceFunc(func() {
		if err := shell.close(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(close)
	return func(command string) (string, error) {
		out, err := shell.run([]byte(command))
		return string(out), err
	}, close
}

// bash is a live bash, used by one at a time.
type bash struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
	buf []byte // what has come of an answer
	ask []byte
}

// marker ends an answer: a byte that no ordinary output has, the record separator.
const marker = 0x1e

const tail = "; printf '\\036'\n"

// run types a command and reads until the marker. The answer is valid until the next run.
func (b *bash) run(command []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ask = append(append(b.ask[:0], command...), tail...)
	if _, err := b.in.Write(b.ask); err != nil {
		return nil, err
	}
	return b.answerLocked()
}

func (b *bash) answerLocked() ([]byte, error) {
	b.buf = b.buf[:0]
	for {
		if len(b.buf) == cap(b.buf) {
			b.buf = append(b.buf, make([]byte, max(4096, len(b.buf)))...)[:len(b.buf)]
		}
		n, err := b.out.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		if end := bytes.IndexByte(b.buf, marker); end >= 0 {
			return bytes.Clone(b.buf[:end]), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (b *bash) close() error {
	b.cmd.Process.Kill()
	err := errors.Join(b.in.Close(), b.out.Close()) // before Wait, which closes pipes too
	b.cmd.Wait()                                    // says that it was killed
	return err
}

// None reads a start-up file or has a prompt.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("bash", append([]string{"--norc", "--noprofile"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PS1=", "PS2=", "TERM=dumb", "HISTFILE="}
	return cmd
}

func startPipe() (*bash, error) {
	cmd := command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return warm(&bash{cmd: cmd, in: in, out: out})
}

func startTerminal(kind string) (*bash, error) {
	ours, theirs, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := command("-i")
	if kind == Stripped {
		if err := quiet(theirs); err != nil {
			ours.Close()
			return nil, err
		}
		cmd = command("--noediting", "-i")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	return warm(&bash{cmd: cmd, in: ours, out: nopCloser{ours}})
}

// nopCloser keeps a terminal, which is both ends, from being closed twice.
type nopCloser struct{ io.Reader }

func (nopCloser) Close() error { return nil }

// quiet turns off the echo and the making of CR LF.
func quiet(tty *os.File) error {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	t.Oflag &^= unix.OPOST
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t)
}

// warm waits until the shell takes commands.
func warm(b *bash) (*bash, error) {
	if _, err := b.run([]byte("true")); err != nil {
		b.close()
		return nil, fmt.Errorf("bash did not start: %w", err)
	}
	return b, nil
}
