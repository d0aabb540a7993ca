package transport_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

func limited(id string, limit time.Duration) sandbox.Action {
	a := run(id, "x")
	a.Timeout = limit
	return a
}

// sleeper is a server whose actions take an hour.
func sleeper(waiting time.Duration) *fake {
	return &fake{waiting: waiting, perform: func(string, sandbox.Action, func(string)) sandbox.Observation {
		time.Sleep(time.Hour)
		return ran("x", "awake")
	}}
}

func TestAnActionWhoseTimeIsOverIsLost(t *testing.T) {
	for _, c := range []struct {
		name     string
		limit    time.Duration
		config   transport.Config
		waiting  time.Duration // before its turn comes
		min, max time.Duration
	}{
		{"at once", time.Minute, transport.Config{}, 0, 90 * time.Second, 90 * time.Second},
		{"a margin of its own", time.Minute, transport.Config{Margin: time.Second}, 0, 61 * time.Second, 61 * time.Second},
		{"a limit that has passed already", -time.Minute, transport.Config{}, 0, 30 * time.Second, 30 * time.Second},
		{"after its turn has come", time.Minute, transport.Config{}, 10 * time.Minute, 690 * time.Second, 700 * time.Second},
		{"a turn that never comes", time.Minute, transport.Config{Turn: 20 * time.Minute}, time.Hour, 1290 * time.Second, 1300 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				leak.Check(t)
				client, _ := sleeper(c.waiting).start(t, c.config)
				t.Cleanup(func() { time.Sleep(3 * time.Hour) }) // until the server is done, too
				begun := time.Now()
				_, err := client.Do(t.Context(), limited("", c.limit), nil)
				wantCode(t, err, sandbox.Lost)
				if took := time.Since(begun); took < c.min || took > c.max || !errors.Is(err, transport.ErrOverdue) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestAnActionInItsTimeIsNot(t *testing.T) {
	for name, limit := range map[string]time.Duration{"no limit": 0, "a long one": time.Hour, "the longest": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				client, n := sleeper(30*time.Minute).start(t, transport.Config{})
				time.AfterFunc(20*time.Minute, func() { n.Cut() }) // the wait before a cut counts as little as that after it
				obs, err := client.Do(t.Context(), limited("", limit), nil)
				if err != nil || obs.Content != "awake" {
					t.Errorf("%q, %v", obs.Content, err)
				}
			})
		})
	}
}

// A server that sends something all the time, but never the end, is held to the term whatever it sends.
func TestATrickleIsNoAnswer(t *testing.T) {
	frame := func(f wire.Frame) string { return string(wire.AppendFrame(nil, f)) }
	beat := wire.Frame{Type: wire.FrameHeartbeat}
	for name, answer := range map[string]string{
		"a head":            "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10<<10),
		"a frame":           okChunked + "1000d\r\nd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat(" ", 10<<10),
		"frames of no type": chunked(many(wire.Frame{Type: '?'}, 1000)...),
		"turns that go":     chunked(append([]wire.Frame{beat}, many(wire.Frame{Type: wire.FrameHeartbeat, Payload: []byte(wire.HeartbeatWaiting)}, 1000)...)...),
		"one that is cut":   chunked(beat) + "12\r\n" + frame(beat)[:5],
	} {
		t.Run(name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				leak.Check(t)
				n := pipenet.Listen()
				trickle(t, n, answer)
				t.Cleanup(func() { time.Sleep(5 * time.Hour) }) // until the server has noticed
				c := client(t, n.Dial, transport.Config{})
				begun := time.Now()
				_, err := c.Do(t.Context(), limited("", time.Minute), nil)
				wantCode(t, err, sandbox.Lost)
				if took := time.Since(begun); took > 91*time.Second {
					t.Errorf("held for %v: %v", took, err)
				}
			})
		})
	}
}

func many(f wire.Frame, n int) []wire.Frame {
	fs := make([]wire.Frame, n)
	for i := range fs {
		fs[i] = f
	}
	return fs
}

// trickle answers whatever comes with a byte every second.
func trickle(t *testing.T, n *pipenet.Net, answer string) {
	t.Cleanup(func() { n.Close(); n.Cut() })
	go func() {
		for {
			c, err := n.Accept()
			if err != nil {
				return
			}
			go drip(c, answer)
		}
	}()
}

func drip(c net.Conn, answer string) {
	defer c.Close()
	if _, err := c.Read(make([]byte, 64<<10)); err != nil {
		return
	}
	if head, rest, ok := strings.Cut(answer, "\r\n\r\n"); ok {
		if _, err := c.Write([]byte(head + "\r\n\r\n")); err != nil {
			return
		}
		answer = rest
	}
	for i := range len(answer) {
		time.Sleep(time.Second)
		if _, err := c.Write([]byte(answer[i : i+1])); err != nil {
			return
		}
	}
}

// What an action did not find is its answer; that the server has not got the action is something else.
func TestAnActionThatDidNotFind(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		payload := wire.AppendError(nil, &sandbox.Error{Code: sandbox.NotFound, Op: "mcp", Err: errors.New("no such tool")})
		c := client(t, raw(t, chunked(wire.Frame{Type: wire.FrameError, Payload: payload})+"0\r\n\r\n").Dial, transport.Config{})
		_, err := c.Do(t.Context(), run("a1", "x"), nil)
		wantCode(t, err, sandbox.NotFound)
		_, err = c.Settle(t.Context(), "a1", nil)
		wantCode(t, err, sandbox.Invalid)
	})
}
