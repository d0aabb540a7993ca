package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
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

// terminal opens a shell on a terminal of its own, or finds one by ?id=, and gives the connection over to it.
func (s *Server) terminal(a asked) {
	ctx := a.RequestCtx
	answer, web, err := upgradeOf(&ctx.Request.Header)
	var size [2]uint16
	for i, name := range [2]string{"cols", "rows"} {
		if err == nil {
			size[i], err = sizeOf(ctx, name, [2]uint16{80, 24}[i])
		}
	}
	id := string(ctx.QueryArgs().Peek("id"))
	if err == nil && id != "" {
		err = sandbox.CheckSession(id)
	}
	offset := uint64(0)
	if err == nil {
		offset, err = numberOf(ctx, "offset")
	}
	var term *terminal
	if err == nil {
		term, err = s.openTerminal(id, size[0], size[1])
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	ctx.HijackSetNoResponse(true) // else a failure to send it would lose the terminal
	ctx.Hijack(func(conn net.Conn) {
		defer s.conns.gone(underlying(conn))
		defer s.leaveTerminal(term)
		s.talk(conn, term, answer, web, offset)
	})
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + wire.UpgradeTerminal + "\r\n\r\n"

// upgradeOf gives the answer that begins a terminal's connection, in our frames or as a WebSocket. Codes: Invalid, Denied.
func upgradeOf(h *fasthttp.RequestHeader) (answer string, web bool, err error) {
	switch upgrade := string(h.Peek("Upgrade")); {
	case strings.EqualFold(upgrade, wire.UpgradeTerminal):
		return switching, false, nil
	case !strings.EqualFold(upgrade, "websocket"):
		return "", false, refused(sandbox.Invalid, "terminal", "want the header Upgrade: "+wire.UpgradeTerminal+", or websocket")
	case !sameOrigin(h):
		return "", false, refused(sandbox.Denied, "terminal", "the page is of another origin: open it from the sandbox's own address")
	}
	answer, err = acceptWebSocket(h)
	return answer, true, err
}

func sizeOf(ctx *fasthttp.RequestCtx, name string, otherwise uint16) (uint16, error) {
	v := ctx.QueryArgs().Peek(name)
	if len(v) == 0 {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 16)
	if err != nil || n == 0 {
		return 0, refused(sandbox.Invalid, "terminal", name+" is no size: want 1 to 65535 characters")
	}
	return uint16(n), nil
}

// A talker is one end of a terminal's connection.
type talker interface {
	show(frames []byte) error // frames of output
	exit(code int, offset uint64) error
	beat() error
	typed(*terminal) error // hands what the client sends to the terminal, until one of them ends
}

// talk carries what goes both ways between a client and its terminal until one of them ends.
func (s *Server) talk(conn net.Conn, term *terminal, answer string, web bool, offset uint64) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a terminal panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s.contact.hold(underlying(conn))
	defer s.contact.release(underlying(conn))
	if _, err := conn.Write([]byte(answer)); err != nil {
		return
	}
	f := term.out.follow([2]uint64{offset}, [2]bool{})
	defer f.leave()
	f.stream()
	var t talker = &framed{conn: conn}
	if web {
		t = &browsed{ws: newWebSocket(conn)}
	}
	left := make(chan struct{})
	var typing sync.WaitGroup
	typing.Go(func() {
		defer close(left)
		if err := t.typed(term); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			s.log.Debug("a terminal's input", "err", err)
		}
	})
	_ = present(t, f, term, left)
	underlying(conn).Close() // ends typed; of a hijacked connection itself, Close does nothing
	typing.Wait()
}

// present shows what the terminal shows until it or the client ends.
func present(t talker, f *follower, term *terminal, left <-chan struct{}) error {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	var buf []byte
	for {
		buf = f.take(buf[:0], chunk)
		if len(buf) > 0 {
			if err := t.show(buf); err != nil {
				return err
			}
			beat.Reset(heartbeat)
			continue
		}
		select {
		case <-left:
			return nil
		case <-f.wake:
		case <-beat.C:
			if err := t.beat(); err != nil {
				return err
			}
			beat.Reset(heartbeat)
		case <-term.done:
			if buf = f.take(buf[:0], chunk); len(buf) == 0 {
				return t.exit(term.Wait(), term.out.held()[shell.Stdout].Length)
			}
			if err := t.show(buf); err != nil {
				return err
			}
		}
	}
}

// framed talks in our frames.
type framed struct{ conn net.Conn }

func (t *framed) show(frames []byte) error {
	_, err := t.conn.Write(frames)
	return err
}

func (t *framed) beat() error {
	return t.show(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameHeartbeat}))
}

func (t *framed) exit(code int, offset uint64) error {
	payload, _ := json.Marshal(wire.Exit{Code: code})
	return t.show(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameExit, Offset: offset, Payload: payload}))
}

func (t *framed) typed(term *terminal) error {
	for in := wire.NewFrameReader(t.conn); ; {
		f, err := in.Next()
		if err != nil {
			return err
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
			return err
		}
	}
}

// browsed talks to a WebSocket: output and input in binary messages, all else in text.
type browsed struct {
	ws   *webSocket
	told bool
	next uint64 // offset that the client expects
}

func (t *browsed) tell(m wire.TerminalMessage) error {
	b, _ := json.Marshal(m)
	return t.ws.write(opText, b)
}

// show says where the output goes on, at the beginning and after a gap.
func (t *browsed) show(frames []byte) error {
	for len(frames) >= wire.FrameHeader {
		n := int(binary.BigEndian.Uint32(frames[1:]))
		if offset := binary.BigEndian.Uint64(frames[5:]); !t.told || offset != t.next {
			t.told, t.next = true, offset
			if err := t.tell(wire.TerminalMessage{Type: "ready", Offset: offset}); err != nil {
				return err
			}
		}
		if err := t.ws.write(opBinary, frames[wire.FrameHeader:wire.FrameHeader+n]); err != nil {
			return err
		}
		t.next += uint64(n)
		frames = frames[wire.FrameHeader+n:]
	}
	return nil
}

func (t *browsed) beat() error { return t.ws.write(opPing, nil) }

func (t *browsed) exit(code int, offset uint64) error {
	if err := t.tell(wire.TerminalMessage{Type: "exit", Code: &code, Offset: offset}); err != nil {
		return err
	}
	return t.ws.write(opClose, []byte{0x03, 0xe8}) // 1000: all is well
}

func (t *browsed) typed(term *terminal) error {
	for {
		op, message, err := t.ws.next()
		if err != nil {
			return err
		}
		if op == opBinary {
			_, err = term.Write(message)
		} else {
			var m wire.TerminalMessage
			if m, err = parseTerminalMessage(message); err == nil {
				err = term.Resize(m.Cols, m.Rows)
			}
		}
		if err != nil {
			if sandbox.CodeOf(err) == sandbox.Invalid {
				_ = t.tell(wire.TerminalMessage{Type: "error", Error: errorBody(err)})
			}
			return err
		}
	}
}

// parseTerminalMessage reads what a client says besides its input. Code: Invalid.
func parseTerminalMessage(b []byte) (m wire.TerminalMessage, err error) {
	if err := decodeSpec("terminal", b, &m); err != nil {
		return m, err
	}
	if m.Type != "resize" || m.Cols == 0 || m.Rows == 0 {
		return m, refused(sandbox.Invalid, "terminal", "want a message of type resize with cols and rows, both more than 0")
	}
	return m, nil
}

func errorBody(err error) *wire.ErrorBody {
	return &wire.ErrorBody{Code: string(sandbox.CodeOf(err)), Message: textOf(err), Timestamp: time.Now().UTC()}
}
