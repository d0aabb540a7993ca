package actors

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// resting opens runtime "a", which is paused and stopped after these times.
func (r *rig) resting(pause, stop time.Duration) Steward {
	r.t.Helper()
	o := r.order("a")
	o.Spec.Idle = sandbox.Idle{PauseAfter: pause, StopAfter: stop}
	s, _, err := r.runtimes.Open(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) do(s Steward, id, text string) {
	r.t.Helper()
	if _, err := s.Do(r.t.Context(), command(id, text), nil); err != nil {
		r.t.Errorf("%s: %v", text, err)
	}
}

func (r *rig) expectRest(s Steward, want Rest) {
	r.t.Helper()
	synctest.Wait()
	if st := r.state(s); st.Idle != want || (st.Status == sandbox.StatusStopped) != (want != "") {
		r.t.Errorf("after %v it is %q, %s (%s), want %q", time.Since(r.began), st.Idle, st.Status, st.Message, want)
	}
	b := r.world.box("a")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused != (want == Paused) || b.died() != (want == Halted) {
		r.t.Errorf("paused %v, dead %v, want %q", b.paused, b.died(), want)
	}
}

func TestRestsAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.resting(time.Minute, 6*time.Minute)
		time.Sleep(time.Minute - time.Second)
		r.do(s, "x", "echo 1")
		time.Sleep(time.Minute - time.Second)
		r.expectRest(s, "")
		time.Sleep(time.Second)
		r.expectRest(s, Paused)
		r.do(s, "y", "echo 2")
		r.expectRest(s, "")
		time.Sleep(5 * time.Minute)
		r.expectRest(s, Paused)
		time.Sleep(time.Minute)
		r.expectRest(s, Halted)
		time.Sleep(10 * time.Minute)
		r.expectRest(s, Halted)
		r.do(s, "z", "echo 3")
		r.do(s, "x", "echo 1") // again: it is told, not done
		r.expectRest(s, "")
		if got := r.world.box("a").commands(); got != "echo 1; echo 2; echo 3" {
			t.Errorf("it ran %s", got)
		}
		r.expectHistory("spec " + broughtUp + " +x -x (paused) " + broughtUp + " +y -y (paused) (stopped) " + broughtUp + " +z -z")
		if r.world.starts != 2 {
			t.Errorf("it was started %d times", r.world.starts)
		}
	})
}

// TestUseKeepsAwake has an action, and somebody who has the sandbox itself, at it for longer than it may be unused.
func TestUseKeepsAwake(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.resting(time.Minute, 0)
		r.do(s, "x", "sleep 5m")
		r.expectRest(s, "")
		_, done, err := s.Use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		r.expectRest(s, "")
		done()
		done()
		time.Sleep(time.Minute - time.Second)
		r.expectRest(s, "")
		time.Sleep(time.Second)
		r.expectRest(s, Paused)
		if _, done, err = s.Use(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer done()
		time.Sleep(5 * time.Minute)
		r.expectRest(s, "")

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			if _, over, err := s.Use(gone); err != nil && sandbox.CodeOf(err) != sandbox.Canceled {
				t.Errorf("who does not wait gets %v", err)
			} else if err == nil {
				over()
			}
		}
		done()
		time.Sleep(time.Minute)
		r.expectRest(s, Paused)
		if st, err := s.Ready(t.Context()); err != nil || st.Status != sandbox.StatusReady {
			t.Errorf("ready: %v, %v", st.Status, err)
		}
	})
}

// TestActionMeetsPause has one come at each step of a pause.
func TestActionMeetsPause(t *testing.T) {
	for _, when := range []time.Duration{-time.Nanosecond, 0, time.Nanosecond, time.Second} {
		bubble(t, func(t *testing.T, r *rig) {
			s := r.resting(time.Minute, 0)
			r.world.box("a").pauseWith(2*time.Second, nil)
			time.Sleep(time.Minute + when)
			x := start(s, command("x", "echo 1"))
			time.Sleep(3 * time.Second)
			if !x.finished() || x.err != nil || r.world.box("a").commands() != "echo 1" {
				t.Errorf("%v: finished %v, %v, ran %s", when, x.finished(), x.err, r.world.box("a").commands())
			}
			r.expectRest(s, "")
			if st := r.state(s); st.Queued != 0 {
				t.Errorf("%v: %d wait", when, st.Queued)
			}
		})
	}
}

func TestLeavingAtRest(t *testing.T) {
	for _, moment := range []time.Duration{time.Minute + time.Second, 2 * time.Minute, 6 * time.Minute} {
		for _, kill := range []bool{false, true} {
			bubble(t, func(t *testing.T, r *rig) {
				s := r.resting(time.Minute, 5*time.Minute)
				b := r.world.box("a")
				b.pauseWith(2*time.Second, nil)
				time.Sleep(moment)
				leave := s.Close
				if kill {
					leave = s.Kill
				}
				if err := leave(t.Context()); err != nil {
					t.Errorf("%v, kill %v: %v", moment, kill, err)
				}
				b.mu.Lock()
				if b.paused && !kill || b.died() != (kill || moment > 5*time.Minute) {
					t.Errorf("%v, kill %v: paused %v, dead %v", moment, kill, b.paused, b.died())
				}
				b.mu.Unlock()
				if got := r.store.holder("a"); got != "" {
					t.Errorf("%v, kill %v: held by %q", moment, kill, got)
				}
			})
		}
	}
}

// TestRestOutlivesControllers counts from the last action, whoever drove the runtime then, but leaves who opens it a while.
func TestRestOutlivesControllers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.resting(3*time.Minute, 0)
		r.do(s, "x", "echo 1")
		time.Sleep(time.Minute)
		r.stop()
		time.Sleep(ttl)
		two := newRig(t, "two", r.store, r.world)
		defer two.stop()
		s, _, err := two.runtimes.Open(t.Context(), two.order("a")) // what is known is what counts
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute - ttl - time.Second)
		two.expectRest(s, "")
		time.Sleep(time.Second)
		two.expectRest(s, Paused)
		two.stop()
		time.Sleep(5 * time.Minute)
		three := newRig(t, "three", r.store, r.world)
		defer three.stop()
		if s, _, err = three.runtimes.Open(t.Context(), three.order("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settle - time.Second)
		three.expectRest(s, "")
		time.Sleep(time.Second)
		three.expectRest(s, Paused)
	})
}

func TestDeathAtRest(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.resting(time.Minute, time.Hour)
		time.Sleep(time.Minute)
		r.expectRest(s, Paused)
		r.world.box("a").pauseWith(0, nil)
		r.world.box("a").kill(sandbox.Exit{Signal: 9})
		r.do(s, "x", "echo 1")
		r.expectRest(s, "")
		r.world.box("a").pauseWith(0, failure(sandbox.NotFound, "pause", "a", "it has ended"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := r.state(s); st.Idle != Halted {
			t.Errorf("it is %q", st.Idle)
		}
		r.do(s, "y", "echo 2")
	})
}

func TestCannotRest(t *testing.T) {
	for code, again := range map[sandbox.Code]bool{sandbox.Unsupported: false, sandbox.Unavailable: true} {
		bubble(t, func(t *testing.T, r *rig) {
			s := r.resting(2*time.Minute, 0)
			r.world.box("a").pauseWith(0, failure(code, "pause", "a", "no"))
			time.Sleep(2 * time.Minute)
			r.expectRest(s, "")
			r.do(s, "x", "echo 1")
			if h := r.store.history("a"); !strings.HasPrefix(h, "spec "+broughtUp+" STOPPED "+broughtUp+" +x") {
				t.Errorf("%s: history: %s", code, h)
			}
			r.world.box("a").pauseWith(0, nil)
			time.Sleep(3 * time.Minute)
			if again {
				r.expectRest(s, Paused)
			} else {
				r.expectRest(s, "")
			}
		})
	}
}

// TestFencedAtRest takes a sleeping runtime's lease away.
func TestFencedAtRest(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.resting(time.Minute, 0)
		time.Sleep(2 * time.Minute)
		r.expectRest(s, Paused)
		r.store.mu.Lock()
		r.store.leases["a"] = &memLease{m: r.store, id: "a", epoch: 9, holder: "other", ttl: ttl, expires: time.Now().Add(time.Hour)}
		r.store.mu.Unlock()
		time.Sleep(ttl)
		_, err := s.Do(t.Context(), command("x", "echo 1"), nil)
		expectCode(t, "an action", err, sandbox.Conflict)
	})
}

func TestWhoRests(t *testing.T) {
	c := Config{Idle: sandbox.Idle{PauseAfter: 1, StopAfter: 3}}
	for _, row := range []struct{ spec, want sandbox.Idle }{
		{want: c.Idle},
		{spec: sandbox.Idle{PauseAfter: 2}, want: sandbox.Idle{PauseAfter: 2, StopAfter: 3}},
		{spec: sandbox.Idle{PauseAfter: -1, StopAfter: -1}, want: sandbox.Idle{PauseAfter: -1, StopAfter: -1}},
	} {
		if got := c.Resting(sandbox.Spec{Idle: row.spec}); got != row.want {
			t.Errorf("%+v rests at %+v", row.spec, got)
		}
	}
	if got := c.Resting(sandbox.Spec{OrphanAfter: -1}); got != (sandbox.Idle{}) {
		t.Errorf("one that is to be kept rests at %+v", got)
	}
}
