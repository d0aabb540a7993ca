// Package floor is the least that a shell or a program behind a server can cost, to be measured in the same run as the real thing:
// a ratio to it means the same on every machine, a time does not.
//
// Serve is a fasthttp server on a Unix socket with a bash for each path: a request's body is typed, and what
// comes until a marker is the answer. The bash is Ordinary, as it comes on a terminal, or Stripped of all that can be
// taken away: line editing, echo, CR; or Piped, on no terminal at all. The path /exec runs the body's words as a program
// of its own, by os/exec, and answers with what it printed; /alive is answered with nothing. There is no id, no ledger, no
// journal, no framing, no time limit, no isolation of one command from the next, and a line is at most what a terminal
// takes, 4095 bytes. Start has it as a process of its own, as the server is that it is compared with. Open is a bash on two
// pipes in this process, the floor of the floor.
package floor

import (
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

	"github.com/valyala/fasthttp"
)

// A DialFunc opens a connection.
type DialFunc = func(ctx context.Context) (net.Conn, error)

// The kinds of bash on a terminal.
const (
	Ordinary = "ordinary" // edits lines and echoes, as anybody's does
	Stripped = "stripped" // neither, and leaves line ends alone
	Piped    = "piped"    // reads and writes pipes, and knows no terminal
)

// Start starts a program that calls Serve with the two arguments that are appended, and its standard input and output.
// The dialer gives connections until close is called, which ends the program and may be called twice.
func Start(program []string, kind string) (dial DialFunc, close func() error, err error) {
	dir, err := os.MkdirTemp("", "floor") // a socket's path has 108 bytes, so it is to be short
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, "s")
	server := exec.Command(program[0], append(program[1:len(program):len(program)], path, kind)...)
	server.Stderr = os.Stderr
	alive, err := start(server)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the floor did not come up: %w", err), os.RemoveAll(dir))
	}
	dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return dial, sync.OnceValue(func() error { return errors.Join(alive.Close(), server.Wait(), os.RemoveAll(dir)) }), nil
}

// start starts a server and waits until it serves. It ends with the pipe that is returned, also if we are killed.
func start(server *exec.Cmd) (alive io.Closer, err error) {
	ready, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return nil, errors.Join(err, in.Close(), server.Wait())
	}
	return in, nil
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
	err = errors.Join(err, shells.close(), l.Close(), <-served)
	_ = os.Remove(filepath.Dir(path)) // if nothing else is there: whoever made it may have been killed
	return err
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
