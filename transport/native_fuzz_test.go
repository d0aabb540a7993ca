package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/transport"
)

// answering makes a client of a server that answers each request with the same bytes as the body.
func answering(t *testing.T, body []byte) *transport.Client {
	t.Helper()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\n%s: 2\r\nContent-Length: %d\r\n\r\n", wire.HeaderVersion, len(body))
	c, err := transport.New(func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			far.Read(make([]byte, 64<<10)) // a request is sent in one write
			io.WriteString(far, head)
			far.Write(body)
		}()
		return near, nil
	}, transport.Config{Retry: transport.Retry{Patience: -1}, Stall: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ours fails unless err is nil or an error as callers may expect.
func ours(t *testing.T, err error) {
	t.Helper()
	if _, ok := err.(*sandbox.Error); err != nil && !ok {
		t.Errorf("no error of this package: %v", err)
	}
}

// FuzzLines reads answers of lines: what a search has found, what has changed.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"path":"a","line":1,"text":"x","column":1}` + "\n\n" + `{"done":true,"matches":1,"files":1,"truncated":false,"engine":"go"}` + "\n"))
	f.Add([]byte(`{"done":true,"error":{"code":"lost","message":"m"}}`))
	f.Add([]byte(`{"type":"ready"}` + "\n" + `{"type":"moved","path":"a","to":"b"}` + "\n" + `{"type":"error","error":{"code":"not_found"}}` + "\n"))
	f.Add([]byte(`{"type":"heartbeat"}` + "\n" + `{"type":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		end, err := answering(t, b).Grep(t.Context(), wire.Grep{Pattern: "x"}, func(wire.GrepMatch) error { n++; return nil })
		if ours(t, err); err == nil && !end.Done || n > len(b) {
			t.Errorf("%d lines, %+v, %v", n, end, err)
		}
		n = 0
		ours(t, answering(t, b).Watch(t.Context(), "", true, func(e wire.WatchEvent) error {
			if n++; e.Type == "heartbeat" || e.Type == "error" {
				t.Errorf("%+v is handed on", e)
			}
			return nil
		}))
		if n > len(b) {
			t.Errorf("%d events of %d bytes", n, len(b))
		}
	})
}

// FuzzProcess reads the frames of a process, and how it ended.
func FuzzProcess(f *testing.F) {
	frame := func(typ byte, offset uint64, payload string) []byte {
		return wire.AppendFrame(nil, wire.Frame{Type: typ, Offset: offset, Payload: []byte(payload)})
	}
	f.Add(append(frame(wire.FrameOutput, 0, "out"), append(frame(wire.FrameStderr, 0, "err"), frame(wire.FrameExit, 3, `{"code":-1,"signal":"KILL","memory":true}`)...)...))
	f.Add(frame(wire.FrameExit, 0, `{"code":"x"}`))
	f.Add(frame(wire.FrameError, 0, `{"error":{"code":"not_found","message":"m"}}`))
	f.Add(append(frame(wire.FrameOutput, 1<<63, "far"), frame(wire.FrameExit, 0, `{}`)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var next [2]int64
		follow := func(i int) sandbox.Output {
			return func(offset int64, p []byte) {
				if offset < next[i] || len(p) == 0 || offset+int64(len(p)) < offset {
					t.Errorf("%d bytes at %d after %d", len(p), offset, next[i])
				}
				next[i] = offset + int64(len(p))
			}
		}
		_, err := answering(t, b).FollowProcess(t.Context(), "p", 0, 0, transport.Outputs{Stdout: follow(0), Stderr: follow(1)})
		ours(t, err)
		p, err := answering(t, b).Process(t.Context(), "p")
		if ours(t, err); err != nil && p.ID != "" {
			t.Errorf("%+v beside an error", p)
		}
	})
}
