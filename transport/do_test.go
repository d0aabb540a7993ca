package transport_test

import (
	"context"
	"errors"
	"fmt"
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

// recorded collects output and notes where it is not contiguous.
type recorded struct {
	text  strings.Builder
	next  int64
	jumps []string
}

func (r *recorded) out(offset int64, p []byte) {
	if offset != r.next {
		r.jumps = append(r.jumps, fmt.Sprintf("%d>%d", r.next, offset))
	}
	r.text.Write(p)
	r.next = offset + int64(len(p))
}

func wantCode(t testing.TB, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
	if e, ok := err.(*sandbox.Error); err != nil && (!ok || !strings.HasPrefix(e.Op, "transport.")) {
		t.Errorf("not an error of this package: %#v", err)
	}
}

func TestDoStreamsAndAnswers(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{key: "k", perform: echo}
		c, n := f.start(t, transport.Config{Key: "k"})
		for _, command := range []string{"ls", strings.Repeat("x", 3<<20), "", "héé\n\x01"} {
			var r recorded
			obs, err := c.Do(t.Context(), run("", command), r.out)
			if err != nil || obs.Content != command || r.text.String() != command || r.jumps != nil {
				t.Fatalf("%.20q: content %.20q, output %.20q, jumps %v, error %v", command, obs.Content, r.text.String(), r.jumps, err)
			}
		}
		if n.Conns() != 1 || c.Stats().Dials != 1 {
			t.Errorf("%d connections, %d dialled; want one for all", n.Conns(), c.Stats().Dials)
		}
	})
}

func TestTheSameIDRunsOnce(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := &fake{perform: func(id string, a sandbox.Action, print func(string)) sandbox.Observation {
			runs.Add(1)
			return echo(id, a, print)
		}}
		c, _ := f.start(t, transport.Config{})
		for range 3 {
			obs, err := c.Do(t.Context(), run("a1", "date"), nil)
			if err != nil || obs.Content != "date" {
				t.Fatal(obs, err)
			}
		}
		if runs.Load() != 1 {
			t.Errorf("ran %d times", runs.Load())
		}
		_, err := c.Do(t.Context(), run("a1", "another"), nil)
		wantCode(t, err, sandbox.Conflict)
		_, err = c.Do(t.Context(), run("../a1", "x"), nil)
		wantCode(t, err, sandbox.Invalid)
		_, err = c.Do(t.Context(), sandbox.Action{}, nil)
		wantCode(t, err, sandbox.Invalid)
	})
}

// slow prints a line each second, ten of them.
func slow(_ string, _ sandbox.Action, print func(string)) sandbox.Observation {
	for i := range 10 {
		print(fmt.Sprintf("line %d\n", i))
		time.Sleep(time.Second)
	}
	return ran("slow", "done")
}

const slowOutput = "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\n"

func TestDoResumesWhereItWasCut(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{perform: slow}
		c, n := f.start(t, transport.Config{})
		for _, d := range []time.Duration{500, 2500, 2600, 7100} {
			time.AfterFunc(d*time.Millisecond, func() { n.Cut() })
		}
		var r recorded
		obs, err := c.Do(t.Context(), run("a1", "slow"), r.out)
		if err != nil || obs.Content != "done" || r.text.String() != slowOutput || r.jumps != nil {
			t.Errorf("content %q, output %q, jumps %v, error %v", obs.Content, r.text.String(), r.jumps, err)
		}
		if s := c.Stats(); s.Resumes != 4 {
			t.Errorf("%d resumes, want 4", s.Resumes)
		}
		want := []string{"POST /v1/actions/a1", "GET /v1/actions/a1?offset=7", "GET /v1/actions/a1?offset=21",
			"GET /v1/actions/a1?offset=21", "GET /v1/actions/a1?offset=56"}
		if got := f.seen(); !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

func TestOutputThatIsNoLongerHeldIsAJump(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{held: 10, perform: slow}
		c, n := f.start(t, transport.Config{})
		time.AfterFunc(500*time.Millisecond, func() { n.Cut(); n.Hold(5 * time.Second) })
		var r recorded
		_, err := c.Do(t.Context(), run("a1", "slow"), r.out)
		if err != nil || len(r.jumps) != 1 || !strings.HasPrefix(r.jumps[0], "7>") {
			t.Errorf("jumps %v, error %v; want one from 7", r.jumps, err)
		}
		if !strings.HasPrefix(r.text.String(), "line 0\n") || !strings.HasSuffix(slowOutput, r.text.String()[7:]) {
			t.Errorf("output %q", r.text.String())
		}
	})
}

func TestSilenceIsDeathOnlyWithoutHeartbeats(t *testing.T) {
	sleep := func(string, sandbox.Action, func(string)) sandbox.Observation {
		time.Sleep(time.Hour)
		return ran("sleep", "awake")
	}
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{perform: sleep}
		c, _ := f.start(t, transport.Config{})
		obs, err := c.Do(t.Context(), run("", "sleep"), nil)
		if err != nil || obs.Content != "awake" || c.Stats().Retries != 0 {
			t.Errorf("with heartbeats: %q, %v, %d retries", obs.Content, err, c.Stats().Retries)
		}
	})
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{mute: true, perform: sleep}
		c, _ := f.start(t, transport.Config{Retry: transport.Retry{Patience: time.Minute}})
		begun := time.Now()
		_, err := c.Do(t.Context(), run("", "sleep"), nil)
		wantCode(t, err, sandbox.Lost)
		if took := time.Since(begun); took < 75*time.Second || took > 100*time.Second { // the last try begins within the minute after the first failure
			t.Errorf("without: gave up after %s", took)
		}
		if got := f.seen(); len(got) < 4 {
			t.Errorf("asked only %d times: %v", len(got), got)
		}
	})
}

func TestTheCallersDeadlineEndsTheWaitNotTheAction(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{perform: slow}
		c, _ := f.start(t, transport.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := c.Do(ctx, run("a1", "slow"), nil)
		wantCode(t, err, sandbox.Canceled)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3500*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		var r recorded
		obs, err := c.Settle(t.Context(), "a1", r.out)
		if err != nil || obs.Content != "done" || r.text.String() != slowOutput {
			t.Errorf("settled: %q, output %q, error %v", obs.Content, r.text.String(), err)
		}
		_, err = c.Do(ctx, run("a2", "slow"), nil)
		wantCode(t, err, sandbox.Canceled)
		_, err = c.Settle(t.Context(), "a2", nil)
		wantCode(t, err, sandbox.NotFound) // it was not even sent
	})
}

func TestUnavailableMeansThatNothingWasSent(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		n := pipenet.Listen()
		n.Close()
		c := client(t, n.Dial, transport.Config{ID: "box", Breaker: breaker.Config{Failures: 1000}})
		begun := time.Now()
		_, err := c.Do(t.Context(), run("a1", "x"), nil)
		wantCode(t, err, sandbox.Unavailable)
		if took := time.Since(begun); took < 8*time.Second || took > 10*time.Second || c.Stats().Retries < 10 {
			t.Errorf("gave up after %s and %d retries", took, c.Stats().Retries)
		}
		if e := err.(*sandbox.Error); e.Op != "transport.Do" || e.ID != "box" {
			t.Errorf("%#v", e)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Do(ctx, run("a1", "x"), nil)
		wantCode(t, err, sandbox.Unavailable) // and not Canceled: no pause is begun that cannot be ended
	})
}

func TestWhatTheServerRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		want     sandbox.Code
		requests int // 0: several
	}{
		{"invalid", &sandbox.Error{Code: sandbox.Invalid, Err: errors.New("no")}, sandbox.Invalid, 1},
		{"denied", &sandbox.Error{Code: sandbox.Denied, Err: errors.New("no")}, sandbox.Denied, 1},
		{"unsupported", &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("no")}, sandbox.Unsupported, 1},
		{"internal", &sandbox.Error{Code: sandbox.Internal, Err: errors.New("no")}, sandbox.Internal, 1},
		{"exhausted", &sandbox.Error{Code: sandbox.Exhausted, Err: errors.New("no")}, sandbox.Exhausted, 0},
		{"unavailable", &sandbox.Error{Code: sandbox.Unavailable, Err: errors.New("no")}, sandbox.Unavailable, 0},
		{"canceled by another", &sandbox.Error{Code: sandbox.Canceled, Err: errors.New("no")}, sandbox.Lost, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				f := &fake{refuse: func(*fasthttp.Request) error { return c.err }}
				client, _ := f.start(t, transport.Config{Breaker: breaker.Config{Failures: 1000}})
				_, err := client.Do(t.Context(), run("", "x"), nil)
				wantCode(t, err, c.want)
				if n := len(f.seen()); n != c.requests && (c.requests != 0 || n < 5) {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func TestAServerThatIsBusyIsAskedAgain(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := &fake{perform: echo, refuse: func(*fasthttp.Request) error {
			if asked.Add(1) < 4 {
				return &sandbox.Error{Code: sandbox.Exhausted, Err: errors.New("full")}
			}
			return nil
		}}
		c, _ := f.start(t, transport.Config{})
		if _, err := c.Do(t.Context(), run("", "x"), nil); err != nil || asked.Load() != 4 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	})
}

func TestAnActionThatTheServerForgotIsLost(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{perform: slow}
		c, n := f.start(t, transport.Config{})
		time.AfterFunc(2500*time.Millisecond, func() {
			f.mu.Lock()
			clear(f.actions)
			f.mu.Unlock()
			n.Cut()
		})
		_, err := c.Do(t.Context(), run("a1", "slow"), nil)
		wantCode(t, err, sandbox.Lost)
		for _, r := range f.seen()[1:] {
			if strings.HasPrefix(r, "POST") {
				t.Errorf("it was sent again: %s", r)
			}
		}
	})
}

func TestAnOldEpochIsFenced(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{perform: echo}
		old, n := f.start(t, transport.Config{Epoch: 4})
		if err := old.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		newer := client(t, n.Dial, transport.Config{Epoch: 5})
		if err := newer.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := old.Do(t.Context(), run("", "x"), nil)
		wantCode(t, err, sandbox.Conflict)
		wantCode(t, old.Renew(t.Context()), sandbox.Conflict)
	})
}
