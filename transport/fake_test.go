package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

// fake is a server of the native form: a real one as far as the wire goes, with a ledger in memory and, in place of a
// shell, a function. It writes its answers by hand, so that it can also break the rules.
type fake struct {
	key     string
	perform func(id string, a sandbox.Action, print func(string)) sandbox.Observation
	refuse  func(r *fasthttp.Request) error // an error to answer with, before anything else; may be nil
	held    int                             // bytes of output kept for those who come late; 0 all
	mute    bool                            // sends no heartbeats

	flip bool // speaks only the version that it is not asked in

	newest, oldest int           // versions that it speaks; 0 means those of wire. A fake whose newest is 1 is as servers were then
	waiting        time.Duration // before an action's turn comes

	mu       sync.Mutex
	actions  map[string]*fakeAction
	files    map[string][]byte
	requests []string // method and target of all that came
	epoch    uint64
}

type fakeAction struct {
	body    []byte
	native  bool
	out     []byte
	done    bool
	answer  []byte
	changed chan struct{} // closed and replaced when one of these changes
	turn    time.Time     // when its turn comes
}

// serve lets f serve n until the test ends.
func (f *fake) serve(t testing.TB, n net.Listener) {
	f.actions, f.files = map[string]*fakeAction{}, map[string][]byte{}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			c, err := n.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				defer c.Close()
				f.converse(c)
			})
		}
	})
	t.Cleanup(func() {
		n.Close()
		cancel()
		wg.Wait()
	})
}

// start serves a fresh network and makes a client for it.
func (f *fake) start(t testing.TB, c transport.Config) (*transport.Client, *pipenet.Net) {
	n := pipenet.Listen()
	f.serve(t, n)
	return client(t, n.Dial, c), n
}

func client(t testing.TB, d transport.Dialer, c transport.Config) *transport.Client {
	t.Helper()
	client, err := transport.New(d, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (f *fake) converse(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		var r fasthttp.Request
		if err := r.Read(in); err != nil {
			return
		}
		f.mu.Lock()
		f.requests = append(f.requests, string(r.Header.Method())+" "+string(r.RequestURI()))
		f.mu.Unlock()
		if err := f.handle(c, &r); err != nil {
			return
		}
	}
}

func (f *fake) handle(c net.Conn, r *fasthttp.Request) error {
	c = f.versioned(c, r)
	if f.refuse != nil {
		if err := f.refuse(r); err != nil {
			return fail(c, err)
		}
	}
	path := string(r.URI().Path())
	if path == "/alive" {
		return respond(c, 200, []byte(`{"status":"ok"}`))
	}
	if string(r.Header.Peek(wire.HeaderKey)) != f.key {
		return fail(c, &sandbox.Error{Code: sandbox.Denied, Op: "key", Err: errors.New("wrong key")})
	}
	if err := f.understands(r); err != nil {
		return fail(c, err)
	}
	if err := f.fence(r); err != nil {
		return fail(c, err)
	}
	switch {
	case path == wire.PathLease, strings.HasSuffix(path, wire.SuffixInterrupt):
		return respond(c, 204, nil)
	case strings.HasPrefix(path, wire.PathActions):
		return f.action(c, strings.TrimPrefix(path, wire.PathActions), r)
	case path == wire.PathFiles, path == wire.PathTree:
		return f.file(c, r)
	case path == wire.PathList:
		return respond(c, 200, []byte(`["dir/","file"]`))
	case path == wire.PathTerminal:
		return f.terminal(c, r)
	}
	return fail(c, &sandbox.Error{Code: sandbox.NotFound, Op: "route", Err: errors.New(path)})
}

func (f *fake) fence(r *fasthttp.Request) error {
	epoch, _ := strconv.ParseUint(string(r.Header.Peek(wire.HeaderEpoch)), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch < f.epoch {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "epoch", Err: fmt.Errorf("%d is over, now %d", epoch, f.epoch)}
	}
	f.epoch = epoch
	return nil
}

func (f *fake) action(c net.Conn, id string, r *fasthttp.Request) error {
	f.mu.Lock()
	a := f.actions[id]
	switch {
	case a == nil && r.Header.IsGet():
		f.mu.Unlock()
		return fail(c, &sandbox.Error{Code: sandbox.NotFound, Op: "ledger", Err: errors.New("no such action")})
	case a == nil:
		a = &fakeAction{body: bytes.Clone(r.Body()), native: versionOf(r) >= 2, changed: make(chan struct{}), turn: time.Now().Add(f.waiting)}
		f.actions[id] = a
		go f.run(id, a)
	case r.Header.IsPost() && !bytes.Equal(a.body, r.Body()):
		f.mu.Unlock()
		return fail(c, &sandbox.Error{Code: sandbox.Conflict, Op: "ledger", Err: errors.New("another body")})
	}
	f.mu.Unlock()
	offset, _ := r.URI().QueryArgs().GetUint("offset")
	return f.stream(c, a, max(offset, 0), versionOf(r) >= 2)
}

func (f *fake) run(id string, a *fakeAction) {
	read := wire.ParseAction
	if a.native {
		read = wire.ParseNativeAction
	}
	action, err := read(a.body)
	change := func(g func()) {
		f.mu.Lock()
		defer f.mu.Unlock()
		g()
		close(a.changed)
		a.changed = make(chan struct{})
	}
	obs := sandbox.Failed("", fmt.Sprint(err))
	if err == nil {
		time.Sleep(f.waiting)
		obs = f.perform(id, action, func(s string) { change(func() { a.out = append(a.out, s...) }) })
	}
	change(func() {
		if a.done, a.answer = true, wire.AppendObservation(nil, obs); a.native {
			a.answer = wire.AppendNativeObservation(nil, obs, time.Time{})
		}
	})
}

// stream sends the frames of a, beginning at an offset.
func (f *fake) stream(c net.Conn, a *fakeAction, offset int, native bool) error {
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+versions(c)+"\r\n"); err != nil {
		return err
	}
	heartbeat := time.NewTicker(wire.HeartbeatSeconds * time.Second)
	defer heartbeat.Stop()
	for {
		f.mu.Lock()
		changed, done, total := a.changed, a.done, len(a.out)
		var frame []byte
		if f.held > 0 {
			offset = max(offset, total-f.held)
		}
		if offset < total {
			frame = wire.AppendFrame(nil, wire.Frame{Type: wire.FrameOutput, Offset: uint64(offset), Payload: a.out[offset:]})
			offset = total
		} else if done {
			frame = wire.AppendFrame(nil, wire.Frame{Type: wire.FrameDone, Offset: uint64(total), Payload: wire.ReformObservation(a.answer, native)})
		}
		f.mu.Unlock()
		if frame == nil {
			select {
			case <-changed:
				continue
			case <-heartbeat.C:
				if f.mute {
					continue
				}
				beat := wire.Frame{Type: wire.FrameHeartbeat}
				if time.Now().Before(a.turn) {
					beat.Payload = []byte(wire.HeartbeatWaiting)
				}
				frame = wire.AppendFrame(nil, beat)
			}
		}
		if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(frame), frame); err != nil {
			return err
		}
		if frame[0] == wire.FrameDone {
			_, err := io.WriteString(c, "0\r\n\r\n")
			return err
		}
	}
}

func (f *fake) file(c net.Conn, r *fasthttp.Request) error {
	path := string(r.URI().QueryArgs().Peek("path"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.IsPut() {
		f.files[path] = bytes.Clone(r.Body())
		return respond(c, 204, nil)
	}
	b, ok := f.files[path]
	if !ok {
		return fail(c, &sandbox.Error{Code: sandbox.NotFound, Op: "files", Err: errors.New(path)})
	}
	return respond(c, 200, b)
}

// terminal echoes what is typed, tells its size when that changes, and ends with code 7 at "exit".
func (f *fake) terminal(c net.Conn, r *fasthttp.Request) error {
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + wire.UpgradeTerminal + "\r\n\r\n"
	greeting := wire.AppendFrame([]byte(head), wire.Frame{Type: wire.FrameOutput, Payload: r.URI().QueryString()})
	if _, err := c.Write(greeting); err != nil {
		return err
	}
	frames := wire.NewFrameReader(c)
	for {
		in, err := frames.Next()
		if err != nil {
			return err
		}
		out := wire.Frame{Type: wire.FrameOutput, Payload: bytes.Clone(in.Payload)}
		if in.Type == wire.FrameResize {
			cols, rows, err := wire.ParseResize(in.Payload)
			out.Payload = fmt.Appendf(nil, "%dx%d %v", cols, rows, err)
		}
		if string(in.Payload) == "exit" {
			out = wire.Frame{Type: wire.FrameExit, Payload: []byte(`{"code":7}`)}
		}
		if _, err := c.Write(wire.AppendFrame(nil, out)); err != nil {
			return err
		}
	}
}

func respond(c net.Conn, status int, body []byte) error {
	head := fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n", status, versions(c), len(body))
	if status == 204 {
		head = "HTTP/1.1 204 X\r\n" + versions(c) + "\r\n"
	}
	_, err := c.Write(append([]byte(head), body...))
	return err
}

func fail(c net.Conn, err error) error {
	return respond(c, wire.HTTPStatus(sandbox.CodeOf(err)), wire.AppendError(nil, err))
}

// seen gives the requests so far and forgets them.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.requests
	f.requests = nil
	return s
}

// run is a shell command.
func run(id, command string) sandbox.Action {
	return sandbox.Action{ID: id, Args: sandbox.RunArgs{Command: command}}
}

// ran is what a command that succeeded makes.
func ran(command, content string) sandbox.Observation {
	return sandbox.Observation{Content: content, Result: sandbox.RunResult{Command: command, Metadata: sandbox.RunMetadata{PID: -1}}}
}

// echo performs a command by printing it.
func echo(_ string, a sandbox.Action, print func(string)) sandbox.Observation {
	command := a.Args.(sandbox.RunArgs).Command
	print(command)
	return ran(command, command)
}
