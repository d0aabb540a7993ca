package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

// raw is a server that reads the head of a request and sends some bytes, then hangs up: the first connection gets the first
// answer and so on, all later ones the last.
func raw(t testing.TB, answers ...string) *pipenet.Net {
	n := pipenet.Listen()
	t.Cleanup(func() { n.Close(); n.Cut() })
	go func() {
		for i := 0; ; i++ {
			c, err := n.Accept()
			if err != nil {
				return
			}
			answer := answers[min(i, len(answers)-1)]
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				var h fasthttp.RequestHeader
				if h.Read(in) == nil {
					io.CopyN(io.Discard, in, int64(min(max(h.ContentLength(), 0), in.Buffered())))
					io.WriteString(c, answer)
				}
			}()
		}
	}()
	return n
}

const okChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// chunked makes an answer of frames, each in a chunk of its own.
func chunked(frames ...wire.Frame) string {
	s := okChunked
	for _, f := range frames {
		b := wire.AppendFrame(nil, f)
		s += fmt.Sprintf("%x\r\n%s\r\n", len(b), b)
	}
	return s
}

func TestWhatDoesNotFollowTheProtocolIsLostAtOnce(t *testing.T) {
	done := string(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameDone, Payload: wire.AppendObservation(nil, ran("x", "y"))}))
	for name, answer := range map[string]string{
		"no HTTP":              "SSH-2.0-OpenSSH_9.6\r\n\r\n",
		"no status":            "HTTP/1.1 abc OK\r\n\r\n",
		"no length":            "HTTP/1.1 200 OK\r\n\r\n" + done,
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"negative length":      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a head without end":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"a chunk without size": okChunked + "zz\r\n",
		"a huge chunk":         okChunked + "ffffffffffffffffff\r\n",
		"a frame too long":     chunked(wire.Frame{Type: wire.FrameDone}) + "d\r\no\xff\xff\xff\xff12345678\r\n",
		"no observation":       chunked(wire.Frame{Type: wire.FrameDone, Payload: []byte("[]")}),
		"output beyond int64":  chunked(wire.Frame{Type: wire.FrameOutput, Offset: 1<<64 - 1, Payload: []byte("x")}),
		"a success of 3xx":     "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://elsewhere\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				leak.Check(t)
				c := client(t, raw(t, answer).Dial, transport.Config{})
				begun := time.Now()
				_, err := c.Do(t.Context(), run("", "x"), nil)
				if code := sandbox.CodeOf(err); code != sandbox.Lost && code != sandbox.Internal {
					t.Errorf("code %q: %v", code, err)
				}
				if time.Since(begun) != 0 || c.Stats().Dials != 1 {
					t.Errorf("tried %d times, for %s", c.Stats().Dials, time.Since(begun))
				}
			})
		})
	}
}

func TestFramesThatCancelEachOtherOut(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		out := func(offset uint64, s string) wire.Frame {
			return wire.Frame{Type: wire.FrameOutput, Offset: offset, Payload: []byte(s)}
		}
		answer := chunked(out(0, "hello"), out(0, "he"), out(3, "lo world"), out(11, ""), wire.Frame{Type: '?', Payload: []byte("from the future")},
			out(20, "!"), wire.Frame{Type: wire.FrameDone, Payload: wire.AppendObservation(nil, ran("x", "y"))}) + "0\r\n\r\n"
		c := client(t, raw(t, answer).Dial, transport.Config{})
		var r recorded
		obs, err := c.Do(t.Context(), run("", "x"), r.out)
		if err != nil || obs.Content != "y" || r.text.String() != "hello world!" || fmt.Sprint(r.jumps) != "[11>20]" {
			t.Errorf("content %q, output %q, jumps %v, error %v", obs.Content, r.text.String(), r.jumps, err)
		}
	})
}

// What a connection says after the end of an answer must not be taken for the next one.
func TestAnAnswerNobodyAskedFor(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		done := func(s string) string {
			return chunked(wire.Frame{Type: wire.FrameDone, Payload: wire.AppendObservation(nil, ran("x", s))}) + "0\r\n\r\n"
		}
		c := client(t, raw(t, done("first")+done("second")).Dial, transport.Config{})
		for range 3 {
			obs, err := c.Do(t.Context(), run("", "x"), nil)
			if err != nil || obs.Content != "first" {
				t.Fatal(obs, err)
			}
		}
		if c.Stats().Dials != 3 {
			t.Errorf("%d connections, want a fresh one each time", c.Stats().Dials)
		}
	})
}

func TestAnErrorPageIsBounded(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		answer := "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 1000)
		c := client(t, raw(t, answer).Dial, transport.Config{})
		_, err := c.Do(t.Context(), run("", "x"), nil)
		wantCode(t, err, sandbox.Internal)
		if len(err.Error()) > 2000 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	done := chunked(wire.Frame{Type: wire.FrameDone, Payload: wire.AppendObservation(nil, ran("x", "y"))}) + "0\r\n\r\n"
	f.Add([]byte(done))
	f.Add([]byte(chunked(wire.Frame{Type: wire.FrameOutput, Offset: 5, Payload: []byte("abc")}, wire.Frame{Type: wire.FrameHeartbeat})))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n" + done))
	f.Add([]byte("HTTP/1.1 409 X\r\nContent-Length: 80\r\n\r\n" + `{"error":{"code":"conflict","message":"m","details":{},"timestamp":"t"}}`))
	f.Add([]byte("HTTP/1.1 204 X\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 101 X\r\nUpgrade: sandtree-terminal\r\n\r\nx\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := transport.New(func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				far.Read(make([]byte, 64<<10)) // a request is sent in one write
				far.Write(answer)
			}()
			return near, nil
		}, transport.Config{Retry: transport.Retry{Patience: -1}, Stall: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var r recorded
		next := int64(0)
		obs, err := c.Do(t.Context(), run("", "x"), func(offset int64, p []byte) {
			if offset < next || len(p) == 0 || offset+int64(len(p)) < offset {
				t.Errorf("output of %d bytes at %d after %d", len(p), offset, next)
			}
			r.out(offset, p)
			next = offset + int64(len(p))
		})
		switch e, ok := err.(*sandbox.Error); {
		case err == nil && !bytes.Contains(answer, []byte("d")):
			t.Errorf("an observation from nowhere: %v", obs)
		case err != nil && (!ok || e.Op != "transport.Do"):
			t.Errorf("no error of this package: %v", err)
		}
		names, err := c.List(t.Context(), "x")
		if err == nil && len(names) > len(answer) {
			t.Errorf("%d names from %d bytes", len(names), len(answer))
		}
		if term, err := c.Terminal(t.Context(), 80, 25); err == nil {
			io.Copy(io.Discard, term)
			term.Wait()
			term.Close()
		}
	})
}
