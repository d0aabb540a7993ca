package server_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A typist is a client of a terminal.
type typist struct {
	t      *testing.T
	conn   net.Conn
	frames *wire.FrameReader
	shown  string
	next   uint64 // offset of the next output
}

func (b *box) terminal(query string) *typist {
	b.t.Helper()
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r := b.request("GET", wire.PathTerminal+query, "", "Connection", "Upgrade", "Upgrade", wire.UpgradeTerminal)
	if err := r.Write(conn); err != nil {
		b.t.Fatal(err)
	}
	buffered := bufio.NewReader(conn)
	response, err := http.ReadResponse(buffered, r)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != wire.UpgradeTerminal {
		b.t.Fatalf("%v", response)
	}
	y := &typist{b.t.(*testing.T), conn, wire.NewFrameReader(buffered), "", 0}
	y.until(" ") // the end of the prompt: what is typed before it may be lost when the shell sets up its terminal
	return y
}

func (y *typist) send(frame []byte) {
	y.t.Helper()
	if _, err := y.conn.Write(frame); err != nil {
		y.t.Fatal(err)
	}
}

func (y *typist) typeIn(keys string) {
	y.t.Helper()
	y.send(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameInput, Payload: []byte(keys)}))
}

// until reads until the terminal has shown what, and gives what it has shown before.
func (y *typist) until(what string) string {
	y.t.Helper()
	for !strings.Contains(y.shown, what) {
		f, err := y.frames.Next()
		if err != nil {
			y.t.Fatalf("%v; shown: %q", err, y.shown)
		}
		if f.Type == wire.FrameOutput {
			if f.Offset != y.next {
				y.t.Errorf("offset %d, want %d", f.Offset, y.next)
			}
			y.next += uint64(len(f.Payload))
			y.shown += string(f.Payload)
		}
	}
	before, after, _ := strings.Cut(y.shown, what)
	y.shown = after
	return before
}

func TestTerminal(t *testing.T) {
	b := start(t, nil)
	y := b.terminal("?cols=101&rows=33")
	y.typeIn("stty size; echo $((6*7))x\r")
	y.until("33 101")
	y.until("42x")
	y.send(wire.AppendResize(nil, 64, 16))
	y.typeIn("stty size\r")
	y.until("16 64")
	// It is apart from the actions' session, and an action does not wait for it.
	b.native("a", run("echo action")).wantRun(t, 0, "action")
	y.typeIn("exit 3\r")
	for {
		f, err := y.frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == wire.FrameExit {
			if string(f.Payload) != `{"code":3}` {
				t.Errorf("exit %s", f.Payload)
			}
			break
		}
	}
	if _, err := y.frames.Next(); err != io.EOF {
		t.Errorf("after the exit: %v", err)
	}
}

func TestATerminalEndsWithItsClient(t *testing.T) {
	b := start(t, nil)
	y := b.terminal("")
	y.typeIn("echo pid=$$.; echo $((6*7))x; sleep 1000\r")
	all := y.until("42x")
	digits := all[strings.LastIndex(all, "pid=")+len("pid="):]
	shell, err := reap.Stat(pidOf(t, digits))
	if err != nil {
		t.Fatal(err)
	}
	y.conn.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // nothing tells
		if now, err := reap.Stat(shell.PID); err != nil || now.Start != shell.Start {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the shell lives on")
		}
	}
}

func TestATerminalEndsWithTheServer(t *testing.T) {
	b := start(t, nil)
	y := b.terminal("")
	y.typeIn("echo $((6*7))x; sleep 1000\r")
	y.until("42x")
	begun := time.Now()
	b.stop()
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := io.Copy(io.Discard, y.conn); err != nil {
		t.Logf("the client sees: %v", err)
	}
}

func TestBadTerminals(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		path   string
		header []string
	}{
		{"", nil},
		{"", []string{"Upgrade", "websocket", "Connection", "Upgrade"}},
		{"?id=a/b", []string{"Upgrade", wire.UpgradeTerminal}},
		{"?offset=x", []string{"Upgrade", wire.UpgradeTerminal}},
		{"?cols=0", []string{"Upgrade", wire.UpgradeTerminal}},
		{"?rows=70000", []string{"Upgrade", wire.UpgradeTerminal}},
		{"?rows=-1", []string{"Upgrade", wire.UpgradeTerminal}},
	} {
		if status, got := b.do("GET", wire.PathTerminal+c.path, "", c.header...); status != http.StatusBadRequest {
			t.Errorf("%v: %d %s", c, status, got)
		}
	}
	y := b.terminal("")
	y.send(bytes.Repeat([]byte{0xff}, 100)) // no frame
	if _, err := io.Copy(io.Discard, y.conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("after nonsense: %v; want the end", err)
	}
	b.native("alive", run("echo alive")).wantRun(t, 0, "alive")
}
