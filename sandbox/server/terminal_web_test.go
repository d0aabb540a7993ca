package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sandtree/sandtree/sandbox/wire"
)

// web opens a terminal as a browser would.
func (b *box) web(ctx context.Context, query string) *websocket.Conn {
	b.t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://sandbox"+wire.PathTerminal+query, &websocket.DialOptions{
		HTTPClient: b.client, HTTPHeader: http.Header{wire.HeaderKey: {key}}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// until reads until the terminal has shown what; it gives the offset of what follows and what else was said.
func untilShown(ctx context.Context, t *testing.T, conn *websocket.Conn, what string) (offset uint64, said []wire.TerminalMessage) {
	t.Helper()
	shown := ""
	for what == "" || !strings.Contains(shown, what) {
		kind, p, err := conn.Read(ctx)
		if err != nil {
			if what != "" {
				t.Fatalf("%v; shown: %q", err, shown)
			}
			return offset, said
		}
		if kind == websocket.MessageBinary {
			shown += string(p)
			offset += uint64(len(p))
			continue
		}
		var m wire.TerminalMessage
		if err := json.Unmarshal(p, &m); err != nil {
			t.Error(err)
		}
		if said = append(said, m); m.Type == "ready" {
			offset = m.Offset
		}
	}
	return offset, said
}

func TestTerminalAsAWebSocket(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := b.web(ctx, "?id=x&cols=101&rows=33")
	say := func(kind websocket.MessageType, text string) {
		t.Helper()
		if err := conn.Write(ctx, kind, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	untilShown(ctx, t, conn, " ") // the end of the prompt
	say(websocket.MessageBinary, "stty size; x=kept\r")
	untilShown(ctx, t, conn, "33 101")
	say(websocket.MessageText, `{"type":"resize","cols":64,"rows":16}`)
	say(websocket.MessageBinary, "stty size; echo $((6*7))x\r")
	offset, _ := untilShown(ctx, t, conn, "42x")
	_ = conn.CloseNow()
	// It goes on without a client, and is found again where it was left.
	conn = b.web(ctx, "?id=x&offset=0")
	again, said := untilShown(ctx, t, conn, "42x")
	if again < offset || said[0].Type != "ready" || said[0].Offset != 0 {
		t.Errorf("at %d, before at %d; %+v", again, offset, said)
	}
	say(websocket.MessageBinary, "echo $x; exit 3\r")
	_, said = untilShown(ctx, t, conn, "")
	if last := said[len(said)-1]; last.Type != "exit" || last.Code == nil || *last.Code != 3 {
		t.Errorf("%+v", said)
	}
	if status, _ := b.do("DELETE", wire.PathTerminal+"?id=none", ""); status != http.StatusNotFound {
		t.Errorf("what is not there: %d", status)
	}
	conn = b.web(ctx, "?id=y")
	untilShown(ctx, t, conn, " ")
	if status, _ := b.do("DELETE", wire.PathTerminal+"?id=y", ""); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	untilShown(ctx, t, conn, "")
	conn = b.web(ctx, "?id=z")
	untilShown(ctx, t, conn, " ")
	say(websocket.MessageText, `{"type":"fly"}`)
	if _, said = untilShown(ctx, t, conn, ""); len(said) == 0 || said[0].Type != "error" || said[0].Error.Code != "invalid" {
		t.Errorf("%+v", said)
	}
}

func TestBadWebSockets(t *testing.T) {
	b := start(t, nil)
	good := map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"no key":     {"Sec-WebSocket-Key", "", 400},
		"bad key":    {"Sec-WebSocket-Key", "x", 400},
		"version":    {"Sec-WebSocket-Version", "12", 400},
		"other page": {"Origin", "https://evil.example", 403},
	} {
		var headers []string
		for k, v := range good {
			if k != c.header {
				headers = append(headers, k, v)
			}
		}
		if status, got := b.do("GET", wire.PathTerminal, "", append(headers, c.header, c.value)...); status != c.status {
			t.Errorf("%s: %d %s", name, status, got)
		}
	}
}
