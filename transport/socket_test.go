package transport_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/transport"
	"github.com/sandtree/sandtree/transport/breaker"
)

func unixListener(t testing.TB) (net.Listener, transport.Dialer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

// A server that died between two actions has not got the second: its caller must hear Unavailable, not Lost, although
// the connection that is kept would have taken the request.
func TestADeadConnectionIsNotUsed(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			leak.Check(t)
			l, dial := unixListener(t)
			if network == "tcp" {
				l.Close()
				var err error
				if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
					t.Fatal(err)
				}
				dial = func(ctx context.Context) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, "tcp", l.Addr().String())
				}
			}
			conns := make(chan net.Conn, 1)
			f := &fake{perform: echo}
			f.serve(t, noting{l, conns})
			c := client(t, dial, transport.Config{Retry: transport.Retry{Patience: -1}, Breaker: breaker.Config{Failures: 1000}})
			if _, err := c.Do(t.Context(), run("", "x"), nil); err != nil {
				t.Fatal(err)
			}
			l.Close()
			(<-conns).Close()
			deadline := time.Now().Add(5 * time.Second)
			for c.Stats().Conns > 0 && time.Now().Before(deadline) { // a FIN over TCP arrives when it arrives
				_, err := c.Do(t.Context(), run("", "x"), nil)
				if code := sandbox.CodeOf(err); code == sandbox.Lost && network == "tcp" {
					continue
				}
				wantCode(t, err, sandbox.Unavailable)
			}
			_, err := c.Do(t.Context(), run("", "x"), nil)
			wantCode(t, err, sandbox.Unavailable)
		})
	}
}

func TestAnIdleConnectionIsUsedAgain(t *testing.T) {
	leak.Check(t)
	l, dial := unixListener(t)
	f := &fake{perform: echo}
	f.serve(t, l)
	c := client(t, dial, transport.Config{Stall: time.Second})
	for range 3 {
		if _, err := c.Do(t.Context(), run("", "x"), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // longer than what a read may take
	}
	if n := c.Stats().Dials; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// noting tells of the connections it accepts.
type noting struct {
	net.Listener
	conns chan net.Conn
}

func (n noting) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		select {
		case n.conns <- c:
		default:
		}
	}
	return c, err
}

// BenchmarkRoundTrip is what the protocol costs: an action through Client.Do, and beside it, in turns, the same bytes
// through fasthttp's own client, streamed and not.
func BenchmarkRoundTrip(b *testing.B) {
	l, dial := unixListener(b)
	answer := wire.AppendFrame(nil, wire.Frame{Type: wire.FrameOutput, Payload: []byte("hello\n")})
	answer = wire.AppendFrame(answer, wire.Frame{Type: wire.FrameDone, Offset: 6, Payload: wire.AppendObservation(nil, ran("echo hello", "hello"))})
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBody(answer) }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { server.Shutdown(); <-served }()
	c := client(b, dial, transport.Config{Key: "key", Epoch: 7, Owner: "owner"})
	action := run("", "echo hello")
	body := wire.AppendAction(nil, action)

	ways := []struct {
		name string
		once func() error
	}{
		{"do", func() error { _, err := c.Do(context.Background(), action, func(int64, []byte) {}); return err }},
		{"hostclient", bare(dial, body, false)},
		{"hostclient-stream", bare(dial, body, true)},
	}
	took := make([][]time.Duration, len(ways))
	b.ReportAllocs()
	for b.Loop() {
		for i, way := range ways {
			begun := time.Now()
			if err := way.once(); err != nil {
				b.Fatal(way.name, err)
			}
			took[i] = append(took[i], time.Since(begun))
		}
	}
	median := func(i int) float64 { slices.Sort(took[i]); return float64(took[i][len(took[i])/2]) }
	for i, way := range ways {
		b.ReportMetric(median(i)/1000, way.name+"-µs")
	}
	b.ReportMetric(median(0)/median(1), "x-hostclient")
	b.ReportMetric(median(0)/median(2), "x-hostclient-stream")
}

// bare sends body with fasthttp's client; streamed, it reads the frames too.
func bare(dial transport.Dialer, body []byte, stream bool) func() error {
	hc := &fasthttp.HostClient{
		Addr: "sandbox", StreamResponseBody: stream,
		Dial: func(string) (net.Conn, error) { return dial(context.Background()) },
	}
	return func() error {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI("http://sandbox/v1/actions/0123456789abcdef01234567")
		req.Header.SetMethod("POST")
		req.Header.Set(wire.HeaderKey, "key")
		req.Header.Set(wire.HeaderEpoch, "7")
		req.Header.Set(wire.HeaderOwner, "owner")
		req.SetBodyRaw(body)
		if err := hc.Do(req, resp); err != nil || !stream {
			return err
		}
		frames := wire.NewFrameReader(resp.BodyStream())
		for {
			f, err := frames.Next()
			if err != nil {
				return err
			}
			if f.Type == wire.FrameDone {
				_, err = wire.ParseObservation(f.Payload)
				return err
			}
		}
	}
}
