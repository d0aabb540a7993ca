package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
	"github.com/sandtree/sandtree/transport/breaker"
)

func TestReadyWakesSoonAfterTheServer(t *testing.T) {
	for _, start := range []time.Duration{0, 5 * time.Millisecond, 80 * time.Millisecond, 20 * time.Second} {
		pipenet.Test(t, func(t *testing.T) {
			leak.Check(t)
			begun := time.Now()
			f := &fake{refuse: func(*fasthttp.Request) error {
				if time.Since(begun) < start+start/2 { // first it does not listen, then it is not ready
					return &sandbox.Error{Code: sandbox.Unavailable, Err: errors.New("starting")}
				}
				return nil
			}}
			n := pipenet.Listen()
			f.serve(t, n)
			c := client(t, func(ctx context.Context) (net.Conn, error) {
				if time.Since(begun) < start {
					return nil, io.ErrClosedPipe
				}
				return n.Dial(ctx)
			}, transport.Config{Breaker: breaker.Config{Failures: 1}})
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			late := time.Since(begun) - start - start/2
			if late > min(start/8+400*time.Microsecond, 50*time.Millisecond) {
				t.Errorf("start after %s seen %s late", start+start/2, late)
			}
			if state, _ := c.Breaker(); state != breaker.Closed {
				t.Errorf("breaker is %s", state)
			}
		})
	}
}

func TestReadyGivesUp(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		n := pipenet.Listen()
		n.Close()
		c := client(t, n.Dial, transport.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Ready(ctx)
		wantCode(t, err, sandbox.Canceled)
		if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("the cause is missing: %v", err)
		}
		time.AfterFunc(time.Second, func() { c.Close() })
		wantCode(t, c.Ready(t.Context()), sandbox.Unavailable)
	})
	gone := client(t, func(context.Context) (net.Conn, error) {
		return nil, &sandbox.Error{Code: sandbox.NotFound, Op: "docker.Dial", Err: errors.New("no such container")}
	}, transport.Config{})
	wantCode(t, gone.Ready(t.Context()), sandbox.NotFound)
	_, err := gone.Do(t.Context(), run("", "x"), nil)
	wantCode(t, err, sandbox.NotFound)
}

func TestReadyDoesNotWaitForASilentConnection(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{}
		begun := time.Now()
		f.refuse = func(*fasthttp.Request) error {
			if time.Since(begun) < 100*time.Millisecond {
				time.Sleep(time.Hour) // as a proxy does whose server was not there yet
			}
			return nil
		}
		c, n := f.start(t, transport.Config{})
		if err := c.Ready(t.Context()); err != nil || time.Since(begun) > 2*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		n.Cut()
		time.Sleep(time.Hour)
	})
}

func TestPingIsBoundedByWhatItHasSeen(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		delay := 400 * time.Millisecond
		f := &fake{refuse: func(*fasthttp.Request) error { time.Sleep(delay); return nil }}
		c, _ := f.start(t, transport.Config{ProbeMin: 500 * time.Millisecond, ProbeMax: 3 * time.Second})
		for range 30 {
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s := c.Stats(); s.RoundTrip != delay || s.ProbeTimeout != 500*time.Millisecond {
			t.Errorf("round trip %s, timeout %s", s.RoundTrip, s.ProbeTimeout)
		}
		delay = time.Hour
		var waited []time.Duration
		for range 4 {
			begun := time.Now()
			wantCode(t, c.Ping(t.Context()), sandbox.Unavailable)
			waited = append(waited, time.Since(begun))
		}
		want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second}
		if !slices.Equal(waited, want) {
			t.Errorf("waited %v, want %v", waited, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantCode(t, c.Ping(ctx), sandbox.Canceled)
		time.Sleep(2 * time.Hour) // lets the server's handlers end
	})
}

func TestControlIsNotHeldUpByActions(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{perform: slow}
		c, n := f.start(t, transport.Config{MaxConns: 2})
		done := make(chan error)
		for range 5 {
			go func() { _, err := c.Do(t.Context(), run("", "slow"), nil); done <- err }()
		}
		time.Sleep(time.Second)
		begun := time.Now()
		for op, err := range map[string]error{
			"ping": c.Ping(t.Context()), "renew": c.Renew(t.Context()), "interrupt": c.Interrupt(t.Context(), "a1"),
		} {
			if err != nil {
				t.Errorf("%s: %v", op, err)
			}
		}
		if time.Since(begun) != 0 || n.Conns() > 3 {
			t.Errorf("took %s, %d connections", time.Since(begun), n.Conns())
		}
		wantCode(t, c.Interrupt(t.Context(), "../x"), sandbox.Invalid)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Do(ctx, run("", "x"), nil) // waits for a connection
		wantCode(t, err, sandbox.Canceled)
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n.Conns() > 3 {
			t.Errorf("%d connections", n.Conns())
		}
	})
}

func TestBreaker(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{perform: echo}
		n := pipenet.Listen()
		f.serve(t, n)
		down, refuse := true, error(nil)
		f.refuse = func(*fasthttp.Request) error { return refuse }
		var changes []string
		c := client(t, func(ctx context.Context) (net.Conn, error) {
			if down {
				return nil, io.ErrClosedPipe
			}
			return n.Dial(ctx)
		}, transport.Config{
			Breaker:   breaker.Config{Failures: 3, Cooldown: 2 * time.Second},
			OnBreaker: func(from, to breaker.State) { changes = append(changes, fmt.Sprint(from, ">", to)) },
		})
		for range 3 {
			wantCode(t, c.Ping(t.Context()), sandbox.Unavailable)
		}
		begun := time.Now()
		_, err := c.Do(t.Context(), run("", "x"), nil)
		wantCode(t, err, sandbox.Unavailable)
		state, next := c.Breaker()
		if state != breaker.Open || !errors.Is(err, breaker.ErrOpen) || !strings.Contains(err.Error(), next.Format(time.RFC3339Nano)) || time.Since(begun) != 0 {
			t.Errorf("breaker is %s until %s, error after %s: %v", state, next, time.Since(begun), err)
		}
		down = false
		time.Sleep(time.Until(next))
		if _, err := c.Do(t.Context(), run("", "x"), nil); err != nil {
			t.Error(err)
		}
		// Answers that the request was wrong are signs of life.
		for _, code := range []sandbox.Code{sandbox.Invalid, sandbox.NotFound, sandbox.Conflict, sandbox.Denied, sandbox.Exhausted, sandbox.Unsupported} {
			refuse = &sandbox.Error{Code: code, Err: errors.New("no")}
			for range 3 {
				c.Ping(t.Context())
			}
		}
		refuse = &sandbox.Error{Code: sandbox.Internal, Err: errors.New("bug")}
		for range 3 {
			c.Ping(t.Context())
		}
		want := []string{"closed>open", "open>half-open", "half-open>closed", "closed>open"}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %v, want %v", changes, want)
		}
	})
}

// An action that was cut off must not be given up because others have tripped the breaker.
func TestAnActionUnderWayWaitsForTheBreaker(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{perform: slow}
		n := pipenet.Listen()
		f.serve(t, n)
		var down atomic.Bool
		c := client(t, func(ctx context.Context) (net.Conn, error) {
			if down.Load() {
				return nil, io.ErrClosedPipe
			}
			return n.Dial(ctx)
		}, transport.Config{Breaker: breaker.Config{Failures: 2, Cooldown: 2 * time.Second}})
		time.AfterFunc(2500*time.Millisecond, func() { down.Store(true); n.Cut() })
		time.AfterFunc(5*time.Second, func() { down.Store(false) })
		var r recorded
		obs, err := c.Do(t.Context(), run("a1", "slow"), r.out)
		if err != nil || obs.Content != "done" || r.text.String() != slowOutput || r.jumps != nil {
			t.Errorf("content %q, output %q, jumps %v, error %v", obs.Content, r.text.String(), r.jumps, err)
		}
	})
}

func TestClose(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{perform: slow}
		c, n := f.start(t, transport.Config{})
		done := make(chan error)
		go func() { _, err := c.Do(t.Context(), run("a1", "slow"), nil); done <- err }()
		term, err := c.Terminal(t.Context(), 80, 25)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		wantCode(t, <-done, sandbox.Lost)
		_, err = io.Copy(io.Discard, term)
		wantCode(t, err, sandbox.Lost)
		_, err = c.Do(t.Context(), run("", "x"), nil)
		wantCode(t, err, sandbox.Unavailable)
		wantCode(t, c.Ping(t.Context()), sandbox.Unavailable)
		if s := c.Stats(); s.Conns != 0 || s.Idle != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(10 * time.Second) // the action goes on in the sandbox
		other := client(t, n.Dial, transport.Config{})
		if obs, err := other.Settle(t.Context(), "a1", nil); err != nil || obs.Content != "done" {
			t.Error(obs, err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	dial := pipenet.Listen().Dial
	for field, c := range map[string]transport.Config{
		"Key": {Key: "a\r\nb"}, "Owner": {Owner: "a\nb"}, "Host": {Host: "\x7f"}, "MaxConns": {MaxConns: -1},
		"ConnectMin": {ConnectMin: -1}, "Stall": {Stall: -1}, "Retry.Cap": {Retry: transport.Retry{Cap: -1}},
	} {
		_, err := transport.New(dial, c)
		wantCode(t, err, sandbox.Invalid)
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
	_, err := transport.New(nil, transport.Config{})
	wantCode(t, err, sandbox.Invalid)
}

func TestTerminal(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{}
		c, _ := f.start(t, transport.Config{})
		term, err := c.Terminal(t.Context(), 80, 25)
		if err != nil {
			t.Fatal(err)
		}
		defer term.Close()
		expect := func(want string) {
			t.Helper()
			b := make([]byte, len(want))
			if _, err := io.ReadFull(term, b); err != nil || string(b) != want {
				t.Errorf("got %q, %v; want %q", b, err, want)
			}
		}
		expect("cols=80&rows=25")
		time.Sleep(time.Hour) // silence is no fault of a terminal
		io.WriteString(term, "ls\n")
		expect("ls\n")
		term.Resize(132, 50)
		expect("132x50 <nil>")
		io.WriteString(term, "exit")
		if b, err := io.ReadAll(term); err != nil || len(b) != 0 {
			t.Errorf("at the end: %q, %v", b, err)
		}
		if code, err := term.Wait(); code != 7 || err != nil {
			t.Errorf("exit %d, %v", code, err)
		}
		term.Close()
		term.Close()
		if code, err := term.Wait(); code != 7 || err != nil {
			t.Errorf("after Close: exit %d, %v", code, err)
		}
		if c.Stats().Conns != 0 {
			t.Error("its connection is left")
		}
		f.refuse = func(*fasthttp.Request) error { return &sandbox.Error{Code: sandbox.Exhausted, Err: errors.New("full")} }
		_, err = c.Terminal(t.Context(), 80, 25)
		wantCode(t, err, sandbox.Exhausted)
	})
}
