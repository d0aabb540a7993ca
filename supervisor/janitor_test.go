package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

func collect(t testing.TB, s *System, r Rule) map[sandbox.ID]Finding {
	t.Helper()
	found, err := s.Collect(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	by := map[sandbox.ID]Finding{}
	for _, f := range found {
		by[f.ID] = f
	}
	return by
}

func expectVerdict(t testing.TB, what string, f Finding, want actors.Verdict) {
	t.Helper()
	if f.Verdict != want || f.Err != nil {
		t.Errorf("%s: %s (%v), want %s", what, f.Verdict, f.Err, want)
	}
}

// homeOf is where the local driver keeps a sandbox.
func homeOf(dir string, id sandbox.ID) string { return filepath.Join(dir, "local", string(id)) }

func TestWhatAKilledProcessHasLeftIsCollected(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	h := startHolder(t, dir, 5*time.Second) // of "a"
	s := openSystem(t, dir, nil)
	mine := openRuntime(t, s, sandbox.Spec{ID: "a.b"}) // which begins as the other does
	h.begun(t, s)
	expectVerdict(t, "while its process lives", collect(t, s, Rule{Only: true})["a"], actors.Held)

	stop(t, h, "STOP")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if collect(t, s, Rule{Only: true})["a"].Verdict != actors.Held { // nothing tells of a lease that lapses
			break
		}
	}
	expectVerdict(t, "while its process sleeps", collect(t, s, Rule{Only: true})["a"], actors.Stalled)
	stop(t, h, "CONT")

	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait()
	expectVerdict(t, "before the grace is over", collect(t, s, Rule{Only: true, Grace: time.Hour})["a"], actors.Orphan)
	expectVerdict(t, "before its own time is over", collect(t, s, Rule{})["a"], actors.Orphan)
	expectVerdict(t, "on trial", collect(t, s, Rule{Only: true, DryRun: true})["a"], actors.Overdue)
	found := collect(t, s, Rule{Only: true})
	expectVerdict(t, "after the grace", found["a"], actors.Ended)
	expectVerdict(t, "another's", found["a.b"], actors.Held)
	if _, err := os.Stat(homeOf(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its home is still there: %v", err)
	}
	if got := run(t, mine, "echo well"); got != "well" {
		t.Errorf("the other runtime says %q", got)
	}
	told := ""
	recs, err := s.journal.Read(t.Context(), "a", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		told += r.Type + " " + r.ActionID + " " + string(r.Body) + "\n"
	}
	for _, want := range []string{"observation long", `"message":"the janitor ended the sandbox: nobody has driven it since`} {
		if !strings.Contains(told, want) {
			t.Errorf("want %q in\n%s", want, told)
		}
	}
	if got := run(t, openRuntime(t, s, sandbox.Spec{ID: "a"}), "ls"); got != "" {
		t.Errorf("opened again it has %q", got)
	}
}

func TestJanitorWorksUnasked(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	s := openSystem(t, dir, func(c *Config) { c.Janitor.Interval = 50 * time.Millisecond })
	kept := openRuntime(t, s, sandbox.Spec{ID: "kept", OrphanAfter: -1})
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", OrphanAfter: time.Second})
	held := openRuntime(t, s, sandbox.Spec{ID: "held", OrphanAfter: time.Second})
	for _, r := range []*Runtime{rt, kept} {
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for r, err := range s.Events(t.Context(), "a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == journal.TypeStatus && strings.Contains(string(r.Body), "the janitor") {
			break
		}
	}
	if _, err := os.Stat(homeOf(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its home is still there: %v", err)
	}
	run(t, held, "true")
	expectVerdict(t, "one that is to be kept", collect(t, s, Rule{Only: true})["kept"], actors.Kept)
	if err := s.Remove(t.Context(), "kept"); err != nil {
		t.Error(err)
	}
}

// Whoever comes back while a janitor decides has either the sandbox, whole, or a refusal; and then a new one.
func TestJanitorsAndOpenersRace(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	s, other := openSystem(t, dir, nil), openSystem(t, dir, nil)
	outcomes := map[actors.Verdict]int{}
	for range 20 {
		if err := openRuntime(t, s, sandbox.Spec{ID: "a"}).Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var f Finding
		wg.Go(func() { f = collect(t, other, Rule{Only: true})["a"] })
		rt, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
		wg.Wait()
		if err == nil {
			run(t, rt, "true")
			if err := rt.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else if sandbox.CodeOf(err) != sandbox.Conflict {
			t.Fatalf("%v, while the janitor says %s", err, f.Verdict)
		}
		outcomes[f.Verdict]++
		switch f.Verdict {
		case actors.Ended, actors.Taken, actors.Held, "": // "": it was between one sandbox and the next
		default:
			t.Fatalf("the janitor says %+v", f)
		}
	}
	t.Log(outcomes)
}
