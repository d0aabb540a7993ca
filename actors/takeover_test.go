package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Two rigs on one store and one world are two controllers.
func pair(t *testing.T, f func(t *testing.T, one, two *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		one := newRig(t, "one", newMemory(), newWorld())
		two := newRig(t, "two", one.store, one.world)
		defer one.world.end()
		defer two.stop()
		defer one.stop()
		f(t, one, two)
	})
}

func TestSecondControllerIsRefused(t *testing.T) {
	pair(t, func(t *testing.T, one, two *rig) {
		s := one.open("a")
		_, _, err := two.runtimes.Open(t.Context(), two.order("a"))
		expectCode(t, "Open by a second controller", err, sandbox.Conflict)
		time.Sleep(10 * ttl) // the first renews
		_, _, err = two.runtimes.Open(t.Context(), two.order("a"))
		expectCode(t, "Open by a second controller, later", err, sandbox.Conflict)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		two.open("a")
	})
}

func TestTakeOverSettlesWhatIsLeft(t *testing.T) {
	pair(t, func(t *testing.T, one, two *rig) {
		s := one.open("a")
		start(s, command("runs", "sleep 20s"))
		b := one.world.box("a")
		// Besides: an action that was done and whose observation was not recorded any more, and one that was about to be sent.
		seen := sandbox.Observation{Content: "done", Result: sandbox.RunResult{Command: "echo done"}}
		b.mu.Lock()
		b.answers["done"] = seen
		b.mu.Unlock()
		for _, id := range []string{"done", "never"} {
			rec := journal.Record{Type: journal.TypeAction, ActionID: id, Body: wire.AppendAction(nil, command(id, "echo "+id))}
			if _, err := one.store.Append(t.Context(), "a", 1, rec); err != nil {
				t.Fatal(err)
			}
		}
		one.stop()
		if st := two.world.box("a"); st.died() {
			t.Fatal("the sandbox died with its controller")
		}
		_, _, err := two.runtimes.Open(t.Context(), two.order("a"))
		expectCode(t, "while the lease of the dead one lasts", err, sandbox.Conflict)
		time.Sleep(ttl)
		s = two.open("a")
		next := start(s, command("next", "echo next"))
		again := start(s, command("runs", "sleep 20s"))
		if next.finished() {
			t.Error("a new action overtook those that have to be settled")
		}
		time.Sleep(20 * time.Second)
		if !next.finished() || next.err != nil || !again.finished() || again.err != nil || again.seen.Interrupted() {
			t.Errorf("next: %v; asked again: %v, %v", next.err, again.seen, again.err)
		}
		two.expectHistory("spec " + broughtUp + " +runs +done +never " + broughtUp + " -runs -done -never(interrupted) +next -next")
		if got := b.commands(); got != "sleep 20s; echo next" {
			t.Errorf("ran: %s", got)
		}
		if seen, err := s.Do(t.Context(), command("never", "echo never"), nil); err != nil || !seen.Interrupted() {
			t.Errorf("what never arrived, asked for again: %v, %v", seen, err)
		}
	})
}

func TestControllerThatLostItsLeaseIsFenced(t *testing.T) {
	pair(t, func(t *testing.T, one, two *rig) {
		s := one.open("a")
		x := start(s, command("x", "sleep 1h"))
		y := start(s, command("y", "echo y"))
		// Its process was stopped for a while, as far as the others can see.
		one.store.mu.Lock()
		one.store.leases["a"].expires = time.Now()
		one.store.mu.Unlock()
		two.open("a")
		_, err := one.store.Append(t.Context(), "a", 1, journal.Record{Type: journal.TypeNote})
		expectCode(t, "a late write", err, sandbox.Conflict)
		time.Sleep(ttl)
		for _, d := range []*doing{x, y} {
			if !d.finished() {
				t.Fatal("somebody still waits for the fenced one")
			}
		}
		expectCode(t, "the action in flight", x.err, sandbox.Lost)
		expectCode(t, "the action that waited", y.err, sandbox.Conflict)
		<-s.Done()
		_, err = s.Do(t.Context(), command("z", "true"), nil)
		expectCode(t, "a new action", err, sandbox.Conflict)
		if b := one.world.box("a"); b.died() || b.commands() != "sleep 1h" {
			t.Errorf("the fenced one touched the sandbox: %s", b.commands())
		}
	})
}

func TestLeaseThatCannotBeRenewedForAWhile(t *testing.T) {
	pair(t, func(t *testing.T, one, two *rig) {
		s := one.open("a")
		setBroken := func(err error) {
			one.store.mu.Lock()
			defer one.store.mu.Unlock()
			one.store.broken = err
		}
		setBroken(failure(sandbox.Unavailable, "journal", "", "the disk hangs"))
		time.Sleep(10 * ttl)
		_, err := s.Do(t.Context(), command("x", "echo x"), nil)
		expectCode(t, "an action that cannot be recorded", err, sandbox.Internal)
		if got := one.world.box("a").commands(); got != "" {
			t.Errorf("it was done all the same: %s", got)
		}
		setBroken(nil)
		time.Sleep(ttl)
		if _, err := s.Do(t.Context(), command("x", "echo x"), nil); err != nil {
			t.Errorf("when it can be recorded again: %v", err)
		}
		_, _, err = two.runtimes.Open(t.Context(), two.order("a"))
		expectCode(t, "Open by a second controller", err, sandbox.Conflict)

		setBroken(failure(sandbox.Unavailable, "journal", "", "the disk hangs"))
		time.Sleep(2*ttl + ttl/30) // between two attempts to renew, which are whole parts of ttl/12 apart
		setBroken(nil)
		two.open("a") // before the first could renew
		<-s.Done()
	})
}

func TestActionThatMayHaveBegunIsNotDoneAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		x := start(s, command("x", "sleep 1h"))
		r.world.mu.Lock()
		r.world.forget = true
		r.world.mu.Unlock()
		r.world.box("a").kill(sandbox.Exit{Signal: 9})
		time.Sleep(time.Second)
		if !x.finished() || !x.seen.Interrupted() {
			t.Errorf("the action: %+v, %v", x.seen, x.err)
		}
		if got := r.world.box("a").commands(); got != "" {
			t.Errorf("ran in the new sandbox: %s", got)
		}
	})
}

func TestKillCutsOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		x := start(s, command("x", "sleep 1h"))
		y := start(s, command("y", "echo y"))
		if err := s.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !x.finished() || !y.finished() {
			t.Fatal("somebody still waits")
		}
		expectCode(t, "the action in flight", x.err, sandbox.Lost)
		expectCode(t, "the action that waited", y.err, sandbox.Unavailable)
		r.expectHistory("spec " + broughtUp + " +x -x(interrupted) STOPPED")
	})
}

func TestOtherOrderIsAConflict(t *testing.T) {
	pair(t, func(t *testing.T, one, two *rig) {
		o := one.order("a")
		o.Spec.Workspace = "/work"
		s, _, err := one.runtimes.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		other := o
		other.Spec.Workspace = "/elsewhere"
		_, _, err = one.runtimes.Open(t.Context(), other)
		expectCode(t, "another workspace, while it is active", err, sandbox.Conflict)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _, err = two.runtimes.Open(t.Context(), other)
		expectCode(t, "another workspace, afterwards", err, sandbox.Conflict)
		two.open("a") // by id alone
		one.world.box("a").kill(sandbox.Exit{})
		time.Sleep(time.Second)
		synctest.Wait()
		specs := one.world.specs
		if last := specs[len(specs)-1]; last.Workspace != "/work" || last.Epoch != 2 { // the refused ones have taken no lease
			t.Errorf("started again with %+v", last)
		}
	})
}
