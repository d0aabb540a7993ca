package supervisor

import (
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// audits are the words of the audit events of a runtime that are about snapshots.
func audits(t *testing.T, s *System, id sandbox.ID) (words []string) {
	t.Helper()
	row, err := s.journal.Runtime(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range s.Events(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == journal.TypeAudit && strings.Contains(string(r.Body), `"size":`) {
			word, _, _ := strings.Cut(strings.TrimPrefix(string(r.Body), `{"audit":"`), `"`)
			words = append(words, word)
		}
		if r.Seq >= row.LastSeq {
			return words
		}
	}
	return words
}

// TestSnapshots makes a snapshot while actions wait, forks it, and goes back to it.
func TestSnapshots(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	rt := openRuntime(t, s, sandbox.Spec{ID: "web"})
	run(t, rt, "echo 0 >n; mkdir at; echo x >at/file")
	var wg sync.WaitGroup
	for range 5 { // each is whole, or has not begun
		wg.Go(func() { run(t, rt, "n=$(<n); echo $((n+1)) >n; sleep 0.05; echo $((n+2)) >n") })
	}
	made, err := rt.Snapshot(t.Context(), "s1")
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if made.Of != "web" || made.Backend != "local" || made.Size < 4 || made.Took <= 0 {
		t.Errorf("made as %+v", made)
	}
	if got := run(t, rt, "cat n"); got != "10" {
		t.Errorf("after five actions n is %s", got)
	}
	_, err = rt.Snapshot(t.Context(), "s1")
	expectCode(t, "a second one of the name", err, sandbox.Conflict)

	fork, err := s.Fork(t.Context(), "s1", sandbox.Spec{ID: "fork"})
	if err != nil {
		t.Fatal(err)
	}
	n := run(t, fork, "cat n")
	if !strings.Contains("0 2 4 6 8 10", n) {
		t.Errorf("the snapshot was made in the middle of an action: n is %s", n)
	}
	run(t, fork, "echo forked >n")
	_, err = s.Fork(t.Context(), "s1", sandbox.Spec{ID: "web"})
	expectCode(t, "a fork with the id of another", err, sandbox.Conflict)
	_, err = s.Fork(t.Context(), "s2", sandbox.Spec{ID: "none"})
	expectCode(t, "a fork of nothing", err, sandbox.NotFound)

	done := sandbox.Action{ID: "once", Args: sandbox.RunArgs{Command: "echo gone >n; echo did", Blocking: true}}
	if _, err := rt.Do(t.Context(), done, nil); err != nil {
		t.Fatal(err)
	}
	rt, err = s.Restore(t.Context(), "s1", sandbox.Spec{ID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := rt.Do(t.Context(), done, nil); err != nil || !strings.HasPrefix(seen.Content, "did") {
		t.Errorf("what was done before is answered %+v, %v", seen, err)
	}
	if got := run(t, rt, "cat n"); got != n {
		t.Errorf("restored, n is %s, and was %s", got, n)
	}
	if got := run(t, fork, "cat n"); got != "forked" {
		t.Errorf("the fork has %s", got)
	}
	if got := strings.Join(audits(t, s, "web"), " "); got != "snapshot restore" {
		t.Errorf("on record is %q", got)
	}
	testNoSnapshots(t, s)
}

func testNoSnapshots(t *testing.T, s *System) {
	_, err := s.Restore(t.Context(), "s1", sandbox.Spec{ID: "nobody"})
	expectCode(t, "Restore of no runtime", err, sandbox.NotFound)
	_, err = s.Restore(t.Context(), "s2", sandbox.Spec{ID: "web"})
	expectCode(t, "Restore from nothing", err, sandbox.NotFound)
	if err := s.RemoveSnapshot(t.Context(), "s1"); err != nil {
		t.Error(err)
	}
	expectCode(t, "a second removal", s.RemoveSnapshot(t.Context(), "s1"), sandbox.NotFound)
	if all, err := s.Snapshots(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("left are %+v, %v", all, err)
	}
}
