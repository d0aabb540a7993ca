package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

const ttl = time.Minute

func open(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// temp is a path for a journal. It comes first in a test, so that what the journals leave behind is noticed.
func temp(t testing.TB) string {
	leak.Check(t)
	return filepath.Join(t.TempDir(), "state", "journal.db")
}

func acquire(t testing.TB, j *Journal, id sandbox.ID) Lease {
	t.Helper()
	l, err := j.Acquire(t.Context(), id, "test", ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func note(n int) Record {
	return Record{Type: TypeNote, Body: json.RawMessage(fmt.Sprint(n))}
}

func wantCode(t testing.TB, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

func TestAppendNumbersFromOneWithoutGaps(t *testing.T) {
	j := open(t, temp(t))
	ctx := t.Context()
	a, b := acquire(t, j, "a"), acquire(t, j, "b")
	for i := range 10 {
		for _, l := range []Lease{a, b} {
			first, err := j.Append(ctx, l.ID(), l.Epoch(), note(2*i), note(2*i+1))
			if err != nil || first != uint64(2*i+1) {
				t.Fatalf("append %d to %s: first %d, %v", i, l.ID(), first, err)
			}
		}
	}
	recs, err := j.Read(ctx, "a", 3, 5)
	if err != nil || len(recs) != 5 {
		t.Fatalf("read %d records, %v", len(recs), err)
	}
	for i, r := range recs {
		if r.Runtime != "a" || r.Seq != uint64(4+i) || string(r.Body) != fmt.Sprint(3+i) || r.Epoch != 1 || r.Time.IsZero() {
			t.Errorf("record %d is %+v", i, r)
		}
	}
	if recs, err = j.Read(ctx, "b", 0, 0); err != nil || len(recs) != 20 {
		t.Errorf("read %d records of b, %v", len(recs), err)
	}
	if recs, err = j.Read(ctx, "b", 1<<60, 0); err != nil || len(recs) != 0 {
		t.Errorf("read %d records after the end, %v", len(recs), err)
	}
}

func TestAppendsThatMeetAreCommittedTogether(t *testing.T) {
	j := open(t, temp(t))
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for r := range 4 {
		acquire(t, j, sandbox.ID(fmt.Sprint("r", r)))
	}
	for w := range writers {
		id := sandbox.ID(fmt.Sprint("r", w%4)) // four of them share a runtime
		wg.Go(func() {
			for i := range each {
				if _, err := j.Append(t.Context(), id, 99, note(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for r := range 4 {
		recs, err := j.Read(t.Context(), sandbox.ID(fmt.Sprint("r", r)), 0, 0)
		if err != nil || len(recs) != writers/4*each {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		for i, r := range recs {
			if r.Seq != uint64(i+1) {
				t.Fatalf("record %d has number %d", i, r.Seq)
			}
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	j := open(t, temp(t))
	ctx := t.Context()
	acquire(t, j, "a")
	l := acquire(t, j, "a")
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		id    sandbox.ID
		epoch uint64
		rec   Record
		want  sandbox.Code
	}{
		{"an older epoch", ctx, "a", l.Epoch() - 1, note(1), sandbox.Conflict},
		{"a runtime nobody knows", ctx, "b", 1, note(1), sandbox.NotFound},
		{"no type", ctx, "a", l.Epoch(), Record{}, sandbox.Invalid},
		{"a bad action id", ctx, "a", l.Epoch(), Record{Type: TypeAction, ActionID: "a b"}, sandbox.Invalid},
		{"a huge body", ctx, "a", l.Epoch(), Record{Type: TypeNote, Body: make([]byte, MaxBody+1)}, sandbox.Invalid},
		{"an ended context", canceled, "a", l.Epoch(), note(1), sandbox.Canceled},
	} {
		_, err := j.Append(c.ctx, c.id, c.epoch, c.rec)
		if got := sandbox.CodeOf(err); got != c.want {
			t.Errorf("%s: code %q, want %q: %v", c.name, got, c.want, err)
		}
	}
	if recs, err := j.Read(ctx, "a", 0, 0); err != nil || len(recs) != 0 {
		t.Errorf("refused appends left %d records, %v", len(recs), err)
	}
	if first, err := j.Append(ctx, "a", l.Epoch(), Record{Type: TypeNote}); err != nil || first != 1 {
		t.Errorf("first %d, %v", first, err)
	}
	if recs, err := j.Read(ctx, "a", 0, 0); err != nil || string(recs[0].Body) != "null" {
		t.Errorf("records %v, %v", recs, err)
	}
}

func TestARefusalDoesNotTouchTheOthersOfItsBatch(t *testing.T) {
	j := open(t, temp(t))
	l := acquire(t, j, "a")
	old := l.Epoch()
	l = acquire(t, j, "a")
	j.connMu.Lock() // the first to come waits here, so that the others pile up into one batch
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		epoch := l.Epoch()
		if i%2 == 1 {
			epoch = old
		}
		wg.Go(func() { _, errs[i] = j.Append(context.Background(), "a", epoch, note(i)) })
	}
	j.connMu.Unlock()
	wg.Wait()
	for i, err := range errs {
		if want := i%2 == 1; (sandbox.CodeOf(err) == sandbox.Conflict) != want {
			t.Errorf("append %d: %v", i, err)
		}
	}
	if recs, err := j.Read(t.Context(), "a", 0, 0); err != nil || len(recs) != 10 || recs[9].Seq != 10 {
		t.Errorf("%d records, %v", len(recs), err)
	}
}

func TestAWaitingAppendCanBeGivenUp(t *testing.T) {
	j := open(t, temp(t))
	l := acquire(t, j, "a")
	j.connMu.Lock()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := j.Append(context.Background(), "a", l.Epoch(), note(1)); err != nil {
			t.Error(err)
		}
	})
	for { // until the first leads: it has then taken its batch
		j.mu.Lock()
		taken := j.leading && len(j.waiting) == 0
		j.mu.Unlock()
		if taken {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	_, err := j.Append(ctx, "a", l.Epoch(), note(2))
	wantCode(t, err, sandbox.Canceled)
	j.connMu.Unlock()
	wg.Wait()
	if first, err := j.Append(t.Context(), "a", l.Epoch(), note(3)); err != nil || first != 2 {
		t.Errorf("first %d, %v", first, err)
	}
}

func TestActionsAreFoundAndSettled(t *testing.T) {
	j := open(t, temp(t))
	ctx := t.Context()
	l := acquire(t, j, "a")
	add := func(typ, action string) {
		t.Helper()
		if _, err := j.Append(ctx, "a", l.Epoch(), Record{Type: typ, ActionID: action, Body: json.RawMessage(`{"of":"` + action + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"z", "y", "x"} {
		add(TypeAction, id)
	}
	add(TypeNote, "n") // not an action that anybody waits for
	add(TypeObservation, "y")
	acquire(t, j, "b")
	if _, err := j.Append(ctx, "b", 1, Record{Type: TypeAction, ActionID: "other"}); err != nil {
		t.Fatal(err)
	}
	open, err := j.Unsettled(ctx, "a")
	if err != nil || len(open) != 2 || open[0].ActionID != "z" || open[1].ActionID != "x" {
		t.Errorf("unsettled: %v, %v", open, err)
	}
	action, observation, err := j.FindAction(ctx, "a", "y")
	if err != nil || action == nil || observation == nil || action.Seq != 2 || observation.Seq != 5 {
		t.Errorf("found %v and %v, %v", action, observation, err)
	}
	action, observation, err = j.FindAction(ctx, "a", "other")
	if err != nil || action != nil || observation != nil {
		t.Errorf("found %v and %v of another runtime, %v", action, observation, err)
	}
	_, _, err = j.FindAction(ctx, "nobody", "y")
	wantCode(t, err, sandbox.NotFound)
}

func TestRuntimesAreKeptAndForgotten(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	ctx := t.Context()
	l := acquire(t, j, "a")
	row := RuntimeRow{ID: "a", Backend: "local", Status: sandbox.StatusReady, Workspace: "/w", Spec: json.RawMessage(`{}`), Epoch: l.Epoch()}
	if err := j.SaveRuntime(ctx, row); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(ctx, "a", l.Epoch(), note(1), note(2)); err != nil {
		t.Fatal(err)
	}
	acquire(t, j, "unsaved")
	other := open(t, path) // as another process would
	found, err := other.Runtimes(ctx)
	if err != nil || len(found) != 1 {
		t.Fatalf("runtimes: %v, %v", found, err)
	}
	got := found[0]
	if got.Backend != "local" || got.LastSeq != 2 || got.Holder != "test" || got.Created.IsZero() || !got.Expires.After(time.Now()) {
		t.Errorf("row: %+v", got)
	}
	created := got.Created
	row.Status = sandbox.StatusStopped
	if err := j.SaveRuntime(ctx, row); err != nil {
		t.Fatal(err)
	}
	if got, err = other.Runtime(ctx, "a"); err != nil || got.Status != sandbox.StatusStopped || !got.Created.Equal(created) {
		t.Errorf("row: %+v, %v", got, err)
	}
	row.Epoch = 0
	wantCode(t, j.SaveRuntime(ctx, row), sandbox.Conflict)
	wantCode(t, j.RemoveRuntime(ctx, "a", 0), sandbox.Conflict)
	if err := j.RemoveRuntime(ctx, "a", l.Epoch()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, j.RemoveRuntime(ctx, "a", l.Epoch()), sandbox.NotFound)
	_, err = j.Runtime(ctx, "a")
	wantCode(t, err, sandbox.NotFound)
	_, err = j.Append(ctx, "a", l.Epoch(), note(3))
	wantCode(t, err, sandbox.NotFound)
	wantCode(t, l.Renew(ctx), sandbox.NotFound)

	again := acquire(t, j, "a")
	if again.Epoch() <= l.Epoch() {
		t.Errorf("a runtime made anew is at epoch %d, its namesake was at %d", again.Epoch(), l.Epoch())
	}
	if first, err := j.Append(ctx, "a", again.Epoch(), note(1)); err != nil || first != 1 {
		t.Errorf("first %d, %v", first, err)
	}
}

func TestCloseEndsEverythingAndMayBeCalledTwice(t *testing.T) {
	j := open(t, temp(t))
	l := acquire(t, j, "a")
	var wg sync.WaitGroup
	started := make(chan struct{})
	wg.Go(func() {
		for r, err := range j.Subscribe(context.Background(), "a", 0) {
			if err != nil {
				wantCode(t, err, sandbox.Unavailable)
				return
			}
			if r.Seq == 1 {
				close(started)
			}
		}
	})
	if _, err := j.Append(t.Context(), "a", l.Epoch(), note(1)); err != nil {
		t.Fatal(err)
	}
	<-started
	for range 8 { // writers who may come too late, and say so
		wg.Go(func() {
			for {
				if _, err := j.Append(context.Background(), "a", l.Epoch(), note(1)); err != nil {
					wantCode(t, err, sandbox.Unavailable)
					return
				}
			}
		})
	}
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	_, err := j.Read(t.Context(), "a", 0, 0)
	wantCode(t, err, sandbox.Unavailable)
	wantCode(t, l.Renew(t.Context()), sandbox.Unavailable)
}
