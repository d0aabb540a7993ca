package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func logN(t testing.TB, j *Journal, l Lease, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := j.Log(t.Context(), l.ID(), l.Epoch(), note(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// expectNotes wants the notes 0, 1, 2, … n-1 to be all there is.
func expectNotes(t testing.TB, j *Journal, id sandbox.ID, n int) {
	t.Helper()
	recs, err := j.Read(t.Context(), id, 0, 0)
	if err != nil || len(recs) != n {
		t.Fatalf("%d records, want %d, %v", len(recs), n, err)
	}
	for i, r := range recs {
		if r.Seq != uint64(i+1) || string(r.Body) != fmt.Sprint(i) {
			t.Fatalf("record %d is %d: %s", i, r.Seq, r.Body)
		}
	}
}

func sides(t testing.TB, path string) []string {
	t.Helper()
	found, err := filepath.Glob(path + sideInfix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLoggedIsReadAtOnceAndInOrderWithAppended(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	l := acquire(t, j, "a")
	logN(t, j, l, 0, 3)
	expectNotes(t, j, "a", 3)
	logN(t, j, l, 3, 5)
	if seq, err := j.Append(t.Context(), "a", l.Epoch(), note(5)); err != nil || seq != 6 {
		t.Fatalf("appended as %d, %v", seq, err)
	}
	logN(t, j, l, 6, 700)
	expectNotes(t, j, "a", 700)
	if err := j.Log(t.Context(), "a", l.Epoch(), Record{Type: TypeAction, ActionID: "x"}); err != nil {
		t.Fatal(err)
	}
	if a, o, err := j.FindAction(t.Context(), "a", "x"); err != nil || a == nil || o != nil {
		t.Errorf("found %v, %v, %v", a, o, err)
	}
	if u, err := j.Unsettled(t.Context(), "a"); err != nil || len(u) != 1 {
		t.Errorf("unsettled %v, %v", u, err)
	}
	wantCode(t, j.Log(t.Context(), "a", l.Epoch()-1, note(1)), sandbox.Conflict)
	wantCode(t, j.Log(t.Context(), "nobody", 1, note(1)), sandbox.NotFound)
	wantCode(t, j.Log(t.Context(), "a", l.Epoch(), Record{}), sandbox.Invalid)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, j.Log(t.Context(), "a", l.Epoch(), note(1)), sandbox.Unavailable)
	if left := sides(t, path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoggedWakesSubscribers(t *testing.T) {
	path := temp(t)
	j, other := open(t, path), open(t, path)
	l := acquire(t, j, "a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for _, from := range []*Journal{j, other} {
		wg.Go(func() {
			n := 0
			for r, err := range from.Subscribe(ctx, "a", 0) {
				if err != nil || string(r.Body) != fmt.Sprint(n) {
					t.Errorf("record %d: %+v, %v", n, r, err)
					return
				}
				if n++; n == 50 {
					return
				}
			}
		})
	}
	logN(t, j, l, 0, 50)
	wg.Wait()
}

// stall keeps the committer of j from committing until the end of the test, or until it is called.
func stall(t testing.TB, j *Journal) (goOn func()) {
	t.Helper()
	j.side.committing.Lock()
	goOn = sync.OnceFunc(j.side.committing.Unlock)
	t.Cleanup(goOn)
	return goOn
}

// killed copies a journal as it is, which is what the death of its process would leave: nobody holds a lock of the copy.
func killed(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, filepath.Base(path))
}

func TestSideFileOfTheDeadIsTakenIn(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	l := acquire(t, j, "a")
	logN(t, j, l, 0, 10)
	expectNotes(t, j, "a", 10) // these are in the database, and in the side file too
	stall(t, j)
	logN(t, j, l, 10, 20)
	copied := killed(t, path)
	f, err := os.OpenFile(sides(t, copied)[0], os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(appendEntry(nil, &entry{n: 21, epoch: l.Epoch(), Record: Record{Runtime: "a", Type: TypeNote}})[:13]) // torn
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k := open(t, copied)
		expectNotes(t, k, "a", 20)
		if left := sides(t, copied); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestFollowersSeeWhatTheDeadHaveLogged(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for round := range 10 {
		c := spawn(t, path, "log")
		told := map[string]bool{}
		listen := func(n int) {
			for range n {
				if c.out.Scan() && len(c.out.Text()) == len(sandbox.NewActionID()) {
					told[c.out.Text()] = true
				}
			}
		}
		listen(20)
		seen := make(chan string)
		following, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			for r, err := range j.Subscribe(following, "b", 0) {
				if err != nil {
					return
				}
				select {
				case seen <- r.ActionID:
				case <-following.Done():
				}
			}
		})
		have := map[string]bool{}
		if round%2 == 0 { // it has begun to follow
			have[<-seen] = true
		}
		_ = c.Process.Kill()
		listen(1000)
		_ = c.Wait()
		missing := func() (n int) {
			for id := range told {
				if !have[id] {
					n++
				}
			}
			return n
		}
		for missing() > 0 {
			select {
			case id := <-seen:
				have[id] = true
			case <-ctx.Done():
				t.Fatalf("round %d: %d are missing", round, missing())
			}
		}
		stop()
		wg.Wait()
	}
}

func TestTakeOverFromOneThatLives(t *testing.T) {
	path := temp(t)
	j, other := open(t, path), open(t, path)
	l, err := j.Acquire(t.Context(), "a", "me", 2*time.Second) // in which what follows is logged
	if err != nil {
		t.Fatal(err)
	}
	b := acquire(t, j, "b")
	goOn := stall(t, j)
	logN(t, j, l, 0, 5)
	logN(t, j, b, 0, 5)
	time.Sleep(time.Until(l.Expires()) + time.Millisecond)
	late := make(chan error, 1)
	go func() { late <- j.Log(context.Background(), "a", l.Epoch(), note(99)) }() // its lease is over: it waits for the commit
	yours, err := other.Acquire(t.Context(), "a", "you", ttl)
	if err != nil {
		t.Fatal(err)
	}
	logN(t, other, yours, 5, 10)
	goOn()
	wantCode(t, <-late, sandbox.Conflict)
	wantCode(t, j.Log(t.Context(), "a", l.Epoch(), note(99)), sandbox.Conflict)
	if recs, err := other.Read(t.Context(), "a", 0, 0); err != nil || len(recs) > 11 {
		t.Errorf("%d records, %v", len(recs), err)
	}
	expectNotes(t, j, "b", 5)
	for i, r := range read(t, other, "a") {
		if i < 5 && (string(r.Body) != fmt.Sprint(i) || r.Epoch != l.Epoch()) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

func read(t testing.TB, j *Journal, id sandbox.ID) []Record {
	t.Helper()
	recs, err := j.Read(t.Context(), id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestEntriesSurviveTheirFile(t *testing.T) {
	var b []byte
	want := []*entry{
		{n: 1, epoch: 7, Record: Record{Runtime: "a", Time: time.Unix(3, 4).UTC(), Type: "note", Body: json.RawMessage(`{"a":1}`)}},
		{n: 300, epoch: 1 << 40, Record: Record{Runtime: "b", Time: time.Unix(-3, 4).UTC(), Type: "action", ActionID: "x", Body: json.RawMessage{}}},
	}
	for _, e := range want {
		b = appendEntry(b, e)
	}
	check := func(got []*entry, n int) {
		t.Helper()
		if len(got) != n {
			t.Fatalf("%d entries, want %d", len(got), n)
		}
		for i, e := range got {
			w := want[i]
			if e.n != w.n || e.epoch != w.epoch || !e.Time.Equal(w.Time) || e.Runtime != w.Runtime || e.Type != w.Type ||
				e.ActionID != w.ActionID || !bytes.Equal(e.Body, w.Body) {
				t.Errorf("entry %d is %+v, want %+v", i, e, w)
			}
		}
	}
	check(readEntries(b), 2)
	first := len(appendEntry(nil, want[0]))
	for cut := first; cut < len(b); cut++ { // torn anywhere in the second
		check(readEntries(b[:cut]), 1)
	}
	b[first+9] ^= 1
	check(readEntries(b), 1)
}

func FuzzReadEntries(f *testing.F) {
	f.Add(appendEntry(nil, &entry{n: 1, epoch: 2, Record: Record{Runtime: "a", Type: "note", Body: json.RawMessage("1")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range readEntries(b) {
			_ = e
		}
		_, _ = readEntry(b)
	})
}

func TestActionsOfEarlierLeasesAreFound(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	l := acquire(t, j, "a")
	act := func(id string) Record { return Record{Type: TypeAction, ActionID: id} }
	if err := j.Log(t.Context(), "a", l.Epoch(), act("first")); err != nil {
		t.Fatal(err)
	}
	l = acquire(t, j, "a")
	if _, err := j.Append(t.Context(), "a", l.Epoch(), act("second")); err != nil {
		t.Fatal(err)
	}
	if err := j.Log(t.Context(), "a", l.Epoch(), act("third")); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"first": true, "second": true, "third": true, "fourth": false} {
		a, _, err := j.FindAction(t.Context(), "a", id)
		if err != nil || (a != nil) != want {
			t.Errorf("%s: %v, %v", id, a, err)
		}
	}
	if err := j.Log(t.Context(), "a", l.Epoch(), act("fourth")); err != nil {
		t.Fatal(err)
	}
	if a, _, err := j.FindAction(t.Context(), "a", "fourth"); err != nil || a == nil {
		t.Errorf("one that was looked for in vain before: %v, %v", a, err)
	}
}
