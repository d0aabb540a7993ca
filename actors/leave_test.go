package actors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestLeavingAtAnyTime closes and kills a runtime in every state it can be in.
func TestLeavingAtAnyTime(t *testing.T) {
	open := func(r *rig, o Order) chan error {
		done := make(chan error, 1)
		go func() {
			_, _, err := r.runtimes.Open(context.Background(), o)
			done <- err
		}()
		synctest.Wait()
		return done
	}
	states := map[string]func(t *testing.T, r *rig) chan error{
		"while it is set up": func(t *testing.T, r *rig) chan error {
			o := setupOrder(r)
			r.world.box("a").slow = "git clone"
			return open(r, o)
		},
		"while it waits for a restart": func(t *testing.T, r *rig) chan error {
			done := open(r, r.order("a"))
			r.world.box("a").kill(sandbox.Exit{Signal: 9})
			synctest.Wait()
			return done
		},
		"when it has stopped": func(t *testing.T, r *rig) chan error {
			r.world.startErr = failure(sandbox.Denied, "start", "a", "no")
			return open(r, r.order("a"))
		},
		"when it is ready": func(t *testing.T, r *rig) chan error { return open(r, r.order("a")) },
		"while it waits for the lease": func(t *testing.T, r *rig) chan error {
			r.store.slow = time.Second
			return open(r, r.order("a"))
		},
	}
	for name, reach := range states {
		for _, kill := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					opened := reach(t, r)
					time.Sleep(time.Millisecond)
					s, err := r.runtimes.Find(t.Context(), "a")
					if err != nil {
						t.Fatal(err)
					}
					x := make(chan error, 1)
					go func() {
						_, err := s.Do(context.Background(), command("x", "sleep 1h"), nil)
						x <- err
					}()
					if kill {
						err = s.Kill(t.Context())
					} else {
						err = s.Close(t.Context())
					}
					if err != nil {
						t.Error(err)
					}
					<-opened
					if <-x == nil {
						t.Error("an action was done in a runtime that is being left")
					}
					if holder := r.store.holder("a"); holder != "" {
						t.Errorf("the lease is held by %s", holder)
					}
					if b := r.world.box("a"); kill && b != nil {
						t.Error("the sandbox is still there")
					}
					if got := r.sys.Actors(); len(got) != 2 { // the group and the activator
						t.Errorf("actors left: %v", got)
					}
				})
			})
		}
	}
}
