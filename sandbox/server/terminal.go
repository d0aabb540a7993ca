package server

import (
	"encoding/json"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// terminal opens a shell on a terminal of its own and gives the connection over to it.
func (s *Server) terminal(a asked) {
	ctx := a.RequestCtx
	if !strings.EqualFold(string(ctx.Request.Header.Peek("Upgrade")), wire.UpgradeTerminal) {
		fail(ctx, refused(sandbox.Invalid, "terminal", "want the header Upgrade: "+wire.UpgradeTerminal))
		return
	}
	cols, err := sizeOf(ctx, "cols", 80)
	if err != nil {
		fail(ctx, err)
		return
	}
	rows, err := sizeOf(ctx, "rows", 24)
	if err != nil {
		fail(ctx, err)
		return
	}
	term, err := shell.OpenTerminal(s.sessions.settings(), cols, rows)
	if err == nil {
		err = s.sessions.add(term)
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	s.log.Info("a terminal is opened", "cols", cols, "rows", rows)
	ctx.HijackSetNoResponse(true) // else a failure to send it would lose the terminal
	ctx.Hijack(func(conn net.Conn) {
		defer s.conns.gone(underlying(conn))
		defer s.sessions.end(term)
		s.talk(conn, term)
	})
}

func sizeOf(ctx *fasthttp.RequestCtx, name string, otherwise uint16) (uint16, error) {
	v := ctx.QueryArgs().Peek(name)
	if len(v) == 0 {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 16)
	if err != nil || n == 0 {
		return 0, refused(sandbox.Invalid, "terminal", name+" is no size")
	}
	return uint16(n), nil
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + wire.UpgradeTerminal + "\r\n\r\n"

// talk carries frames between a client and its terminal until one of them ends, and then ends the other.
func (s *Server) talk(conn net.Conn, term *shell.Terminal) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a terminal panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s.contact.hold(underlying(conn))
	defer s.contact.release(underlying(conn))
	if _, err := conn.Write([]byte(switching)); err != nil {
		return
	}
	out := newFrameWriter(conn)
	defer out.timer.Stop()
	var typing sync.WaitGroup
	typing.Go(func() {
		s.typed(conn, term)
		term.Close() // the client has gone; ends the loop below
	})
	buf := make([]byte, 32<<10)
	var offset uint64
	for {
		n, err := term.Read(buf)
		if n > 0 && out.write(wire.Frame{Type: wire.FrameOutput, Offset: offset, Payload: buf[:n]}) != nil {
			break
		}
		offset += uint64(n)
		if err != nil { // the shell has ended
			code := term.Wait()
			payload, _ := json.Marshal(struct {
				Code int `json:"code"`
			}{code})
			_ = out.write(wire.Frame{Type: wire.FrameExit, Offset: offset, Payload: payload})
			break
		}
	}
	underlying(conn).Close() // ends typed; of a hijacked connection itself, Close does nothing
	typing.Wait()
}

// typed hands the client's frames to the terminal, until one of them ends.
func (s *Server) typed(conn net.Conn, term *shell.Terminal) {
	for in := wire.NewFrameReader(conn); ; {
		f, err := in.Next()
		if err != nil {
			return
		}
		switch f.Type {
		case wire.FrameInput:
			_, err = term.Write(f.Payload)
		case wire.FrameResize:
			var cols, rows uint16
			if cols, rows, err = wire.ParseResize(f.Payload); err == nil {
				err = term.Resize(cols, rows)
			}
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Debug("a terminal's input", "err", err)
			}
			return
		}
	}
}

// A frameWriter writes frames to a terminal's client, and a heartbeat when there has been none for a while.
type frameWriter struct {
	mu    sync.Mutex
	conn  net.Conn
	timer *time.Timer
	buf   []byte
}

func newFrameWriter(conn net.Conn) *frameWriter {
	w := &frameWriter{conn: conn}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(heartbeat, func() { _ = w.write(wire.Frame{Type: wire.FrameHeartbeat}) })
	return w
}

func (w *frameWriter) write(f wire.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = wire.AppendFrame(w.buf[:0], f)
	_, err := w.conn.Write(w.buf)
	if err == nil {
		w.timer.Reset(heartbeat)
	}
	return err
}
