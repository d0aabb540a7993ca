package actors

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A sandbox that lives and never comes to the end of an action is asked once more, and then ended by force.
func TestAnActionWhoseTimeIsOver(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		b := r.world.box("a")
		b.stuck = true
		d := start(s, command("x", "sleep 10h"))
		time.Sleep(5 * time.Minute)
		if !d.finished() || d.err != nil || !d.seen.Interrupted() {
			t.Fatalf("%v, %v", d.seen, d.err)
		}
		b.stuck = false
		time.Sleep(time.Minute)
		if b.halts != 1 || r.state(s).Status != sandbox.StatusReady {
			t.Errorf("halted %d times, status %s", b.halts, r.state(s).Status)
		}
		if seen, err := s.Do(t.Context(), command("y", "echo on"), nil); err != nil || seen.Content != "on" {
			t.Errorf("the next: %v, %v", seen, err)
		}
		if n := strings.Count(b.commands(), "sleep"); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// A search for the sandbox that takes too long is followed by a start, which may find it alive after all. Then what was
// set up is set up.
func TestASandboxThatIsFoundAliveIsNotSetUpAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s, _, err := r.runtimes.Open(t.Context(), setupOrder(r))
		if err != nil {
			t.Fatal(err)
		}
		before := r.world.box("a").commands()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.world.hangs = 1
		if _, _, err = r.runtimes.Open(t.Context(), setupOrder2(r)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := r.world.box("a").commands(); got != before {
			t.Errorf("ran again: %s", strings.TrimPrefix(got, before))
		}
	})
}

func TestASetUpThatTakesTooLongLeavesTheShellFree(t *testing.T) {
	for _, c := range []struct {
		heeds string
		keys  int
		halts int
	}{{"C-c", 1, 0}, {`C-\`, 3, 0}, {"nothing", 3, 1}} {
		t.Run(c.heeds, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				o := setupOrder(r)
				b := r.world.box("a")
				b.slow, b.heeds = "git clone", c.heeds
				_, _, err := r.runtimes.Open(t.Context(), o)
				expectCode(t, "Open", err, sandbox.Invalid)
				if text := err.Error(); !strings.Contains(text, "clone: not done in time") || strings.Count(text, "(invalid)") != 1 || strings.Count(text, ": a:") != 1 {
					t.Errorf("%s", text)
				}
				if got := b.commands(); strings.Count(got, "C-") != c.keys || b.halts != c.halts {
					t.Errorf("halted %d times, ran %s", b.halts, got)
				}
				b.slow = ""
				s, err := r.runtimes.Find(t.Context(), "a")
				if err == nil {
					err = s.Reopen(t.Context())
				}
				if err == nil {
					_, err = s.Ready(t.Context())
				}
				if err != nil {
					t.Errorf("reopened: %v", err)
				}
			})
		})
	}
}
