package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Terminal is a fresh interactive shell on a terminal of its own, over a connection of its own. Its state is apart from
// that of the actions' session. One goroutine may read while another writes.
type Terminal struct {
	c     *Client
	k     *conn
	in    *wire.FrameReader
	beats bool   // the server sends heartbeats, so silence means something
	rest  []byte // of the last frame, not yet read
	read  error  // why reading ended

	mu      sync.Mutex // guards what follows, and the order of frames
	out     []byte
	written uint64

	once  sync.Once
	done  chan struct{} // closed when the fields below are set
	code  int
	err   error
	atEnd func()
}

// AtEnd has f called, once, when Read has met the end of the shell or the terminal is closed. It is called before either, by
// whoever has opened the terminal.
func (t *Terminal) AtEnd(f func()) { t.atEnd = f }

// Terminal opens a terminal of the given size in characters. ctx bounds the opening only. Codes: Invalid, Denied,
// Exhausted, Unsupported, Unavailable, Lost, Canceled.
func (c *Client) Terminal(ctx context.Context, cols, rows uint16) (*Terminal, error) {
	target := wire.PathTerminal + "?cols=" + strconv.Itoa(int(cols)) + "&rows=" + strconv.Itoa(int(rows))
	r := &request{method: "GET", target: target, upgrade: wire.UpgradeTerminal, quiet: c.config.Stall, control: true}
	k, f := c.openEither(ctx, r)
	if f != nil {
		return nil, c.error("Terminal", f)
	}
	if !k.unwatch() {
		c.drop(k)
		return nil, c.error("Terminal", canceled(ctx, nil))
	}
	k.SetDeadline(time.Time{})
	t := &Terminal{c: c, k: k, done: make(chan struct{})}
	early, _ := k.in.Peek(k.in.Buffered()) // frames that came with the head
	t.in = wire.NewFrameReader(io.MultiReader(bytes.NewReader(early), patient{t}))
	return t, nil
}

// patient reads the connection of a terminal, waiting for ever until heartbeats promise that it need not.
type patient struct{ *Terminal }

func (t patient) Read(p []byte) (int, error) {
	if t.beats {
		t.k.SetReadDeadline(time.Now().Add(t.c.config.Stall))
	}
	return t.k.Conn.Read(p)
}

// Read gives what the terminal shows. io.EOF means that the shell has ended; any other failure is Lost.
func (t *Terminal) Read(p []byte) (int, error) {
	for len(t.rest) == 0 && t.read == nil {
		t.read = t.next()
	}
	if len(t.rest) == 0 {
		return 0, t.read
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *Terminal) next() error {
	f, err := t.in.Next()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return t.ended(0, t.lost(err))
	}
	switch f.Type {
	case wire.FrameOutput:
		t.rest = f.Payload
	case wire.FrameHeartbeat:
		t.beats = true
	case wire.FrameError:
		return t.ended(0, t.c.error("Terminal", said(wire.ParseError(f.Payload, 0), true)))
	case wire.FrameExit:
		var exit struct{ Code int }
		if err := json.Unmarshal(f.Payload, &exit); err != nil {
			return t.ended(0, t.lost(fmt.Errorf("malformed answer: %w", err)))
		}
		t.ended(exit.Code, nil)
		return io.EOF
	}
	return nil
}

func (t *Terminal) lost(err error) error {
	return t.c.error("Terminal", &failure{code: sandbox.Lost, err: err})
}

// ended records the end, the first time that there is one, and returns err.
func (t *Terminal) ended(code int, err error) error {
	t.once.Do(func() {
		t.code, t.err = code, err
		close(t.done)
		if t.atEnd != nil {
			t.atEnd()
		}
	})
	return err
}

// Write types p. Code: Lost.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = wire.AppendFrame(t.out[:0], wire.Frame{Type: wire.FrameInput, Offset: t.written, Payload: p})
	if err := t.sendLocked(); err != nil {
		return 0, err
	}
	t.written += uint64(len(p))
	return len(p), nil
}

// Resize tells the terminal its new size in characters. Code: Lost.
func (t *Terminal) Resize(cols, rows uint16) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = wire.AppendResize(t.out[:0], cols, rows)
	return t.sendLocked()
}

// sendLocked sends t.out. There is no deadline: a program that reads no input holds the writer up, as a terminal does.
func (t *Terminal) sendLocked() error {
	if _, err := t.k.Conn.Write(t.out); err != nil {
		return t.lost(err)
	}
	return nil
}

// Wait gives the exit code of the shell once Read has met its end, so somebody must be reading. Code: Lost, also after
// Close.
func (t *Terminal) Wait() (code int, err error) {
	<-t.done
	return t.code, t.err
}

// Close hangs up, which ends the shell and what runs in it. Idempotent; the error is always nil.
func (t *Terminal) Close() error {
	t.ended(0, t.lost(errors.New("the terminal is closed")))
	t.c.drop(t.k)
	return nil
}

var _ io.ReadWriteCloser = (*Terminal)(nil)
