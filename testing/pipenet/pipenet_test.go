package pipenet_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
)

func TestServeInABubble(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		n := pipenet.Serve(t, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
			time.Sleep(time.Hour) // virtual
			ctx.WriteString("late")
		}})
		begun := time.Now()
		conn, err := n.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		var resp fasthttp.Response
		if err := resp.Read(bufio.NewReader(conn)); err != nil || string(resp.Body()) != "late" {
			t.Errorf("got %q, %v", resp.Body(), err)
		}
		if d := time.Since(begun); d != time.Hour {
			t.Errorf("took %s of virtual time, want 1h", d)
		}
	})
}

func TestDialFailsAsASocketDoes(t *testing.T) {
	leak.Check(t)
	n := pipenet.Listen()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := n.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: got %v", err)
	}
	n.Close()
	n.Close()
	if _, err := n.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed: got %v", err)
	}
	if n.Conns() != 0 {
		t.Errorf("%d connections left", n.Conns())
	}
}

func TestCut(t *testing.T) {
	leak.Check(t)
	n := pipenet.Listen()
	defer n.Close()
	accepted := make(chan error, 1)
	go func() { _, err := n.Accept(); accepted <- err }()
	conn, err := n.Dial(t.Context())
	if err != nil || <-accepted != nil {
		t.Fatal(err)
	}
	if cut := n.Cut(); cut != 1 {
		t.Errorf("cut %d connections, want 1", cut)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after the cut: %v", err)
	}
}

// With a mean of 100 bytes, echoing 1000 must fail somewhere, in either direction, and no byte may be wrong before that.
func TestCutting(t *testing.T) {
	leak.Check(t)
	n := pipenet.Listen()
	defer n.Close()
	go func() {
		for {
			c, err := n.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	var reads, writes int
	dial := pipenet.Cutting(n.Dial, 1, 100)
	for range 200 {
		conn, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if _, err := conn.Write([]byte{byte(i)}); err != nil {
				writes++
				break
			}
			b := make([]byte, 1)
			if _, err := io.ReadFull(conn, b); err != nil {
				reads++
				break
			}
			if b[0] != byte(i) {
				t.Fatalf("byte %d is %d", i, b[0])
			}
		}
		conn.Close()
	}
	if reads+writes < 195 || reads < 20 || writes < 20 {
		t.Errorf("of 200 connections %d were cut in reading, %d in writing", reads, writes)
	}
}
