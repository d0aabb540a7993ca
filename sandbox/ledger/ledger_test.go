package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/ledger"
	"github.com/sandtree/sandtree/testing/leak"
)

func open(t testing.TB, c ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func body(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func begin(t testing.TB, l *ledger.Ledger, id, what string) *ledger.Entry {
	t.Helper()
	e, fresh, err := l.Begin(id, body(what))
	if err != nil || !fresh {
		t.Fatalf("Begin(%s): fresh %v, error %v", id, fresh, err)
	}
	return e
}

func perform(t testing.TB, l *ledger.Ledger, id string, answer []byte) {
	t.Helper()
	if err := begin(t, l, id, id).Done(answer); err != nil {
		t.Fatalf("Done(%s): %v", id, err)
	}
}

func wantCode(t testing.TB, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("code %q, want %q (%v)", got, want, err)
	}
}

func wantAnswer(t testing.TB, l *ledger.Ledger, id, want string) {
	t.Helper()
	e, ok := l.Lookup(id)
	if !ok {
		t.Fatalf("%s is not known", id)
	}
	if got, ok := e.Answer(); !ok || string(got) != want {
		t.Errorf("%s has answer %q %v, want %q", id, got, ok, want)
	}
}

func TestAnActionBeginsOnce(t *testing.T) {
	leak.Check(t)
	l := open(t, ledger.Config{})
	e := begin(t, l, "a", "body")
	if again, fresh, err := l.Begin("a", body("body")); again != e || fresh || err != nil {
		t.Errorf("the second Begin: %p (first %p), fresh %v, error %v", again, e, fresh, err)
	}
	if _, ok := e.Answer(); ok {
		t.Error("it has an answer before Done")
	}
	if err := e.Done([]byte("yes")); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, l, "a", "yes")
	wantCode(t, e.Done([]byte("no")), sandbox.Conflict)
	wantAnswer(t, l, "a", "yes")
	if _, _, err := l.Begin("a", body("other")); true {
		wantCode(t, err, sandbox.Conflict)
	}
	if _, _, err := l.Begin("not an id", body("")); true {
		wantCode(t, err, sandbox.Invalid)
	}
	if _, ok := l.Lookup("b"); ok || l.Known("b") || !l.Known("a") {
		t.Error("Lookup or Known do not know what they should")
	}
	wantCode(t, l.Settle("b", nil), sandbox.NotFound)
}

func TestWaitersGetTheAnswerOrTheirOwnEnd(t *testing.T) {
	leak.Check(t)
	l := open(t, ledger.Config{})
	e := begin(t, l, "a", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Wait(ctx); true {
		wantCode(t, err, sandbox.Canceled)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := e.Wait(t.Context()); err != nil || string(got) != "x" {
				t.Errorf("waited for %q, %v", got, err)
			}
		})
	}
	if err := e.Done([]byte("x")); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got, err := e.Wait(ctx); err != nil || string(got) != "x" {
		t.Errorf("an answer that is there is given whatever the context: %q, %v", got, err)
	}
	<-e.Settled()

	unsettled := begin(t, l, "b", "")
	wg.Go(func() {
		_, err := unsettled.Wait(t.Context())
		wantCode(t, err, sandbox.Lost)
	})
	l.Close()
	wg.Wait()
}

func TestOneOfManyBegins(t *testing.T) {
	leak.Check(t)
	l := open(t, ledger.Config{Path: filepath.Join(t.TempDir(), "l"), Keep: 1000})
	var ran [100]atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range ran {
				id := fmt.Sprint("a", i)
				e, fresh, err := l.Begin(id, body(id))
				if err != nil {
					t.Error(err)
					return
				}
				if fresh {
					ran[i].Add(1)
					if err := e.Done([]byte(id)); err != nil {
						t.Error(err)
					}
				}
				if got, err := e.Wait(t.Context()); err != nil || string(got) != id {
					t.Errorf("%s: answer %q, %v", id, got, err)
				}
			}
		})
	}
	wg.Wait()
	for i := range ran {
		if n := ran[i].Load(); n != 1 {
			t.Errorf("action %d was performed %d times", i, n)
		}
	}
}

func TestWhatWasRecordedIsThereAgain(t *testing.T) {
	c := ledger.Config{Path: filepath.Join(t.TempDir(), "deep", "ledger")}
	l := open(t, c)
	perform(t, l, "done", []byte("answer"))
	perform(t, l, "empty", nil)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	perform(t, l, "big", big)
	begin(t, l, "running", "r")
	if err := l.Raise(7); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(c); true {
		wantCode(t, err, sandbox.Conflict) // somebody has it
	}
	l.Close()
	if err := l.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}

	l = open(t, c)
	wantAnswer(t, l, "done", "answer")
	wantAnswer(t, l, "empty", "")
	wantAnswer(t, l, "big", string(big))
	if got := l.Interrupted(); !slices.Equal(got, []string{"running"}) {
		t.Errorf("interrupted: %v", got)
	}
	e, fresh, err := l.Begin("running", body("r"))
	if fresh || err != nil {
		t.Fatalf("the interrupted action begins again: fresh %v, %v", fresh, err)
	}
	if err := l.Settle("running", []byte("cut off")); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.Answer(); string(got) != "cut off" {
		t.Errorf("answer %q", got)
	}
	if _, _, err := l.Begin("done", body("other")); true {
		wantCode(t, err, sandbox.Conflict)
	}
	if l.Epoch() != 7 {
		t.Errorf("epoch %d, want 7", l.Epoch())
	}
	l.Close()
	l = open(t, c)
	wantAnswer(t, l, "running", "cut off")
	if got := l.Interrupted(); len(got) != 0 {
		t.Errorf("interrupted: %v", got)
	}
}

func TestALowerEpochIsFenced(t *testing.T) {
	l := open(t, ledger.Config{})
	for _, epoch := range []uint64{0, 3, 3, 4} {
		if err := l.Raise(epoch); err != nil {
			t.Errorf("Raise(%d): %v", epoch, err)
		}
	}
	wantCode(t, l.Raise(3), sandbox.Conflict)
	if l.Epoch() != 4 {
		t.Errorf("epoch %d, want 4", l.Epoch())
	}
}

func TestOldAnswersGoButTheActionsStayKnown(t *testing.T) {
	c := ledger.Config{Path: filepath.Join(t.TempDir(), "l"), Keep: 3, MaxBytes: 1000}
	l := open(t, c)
	for i := range 10 {
		perform(t, l, fmt.Sprint("a", i), []byte(fmt.Sprint(i)))
	}
	check := func() {
		t.Helper()
		for i := range 10 {
			id := fmt.Sprint("a", i)
			if i >= 7 {
				wantAnswer(t, l, id, fmt.Sprint(i))
				continue
			}
			if _, ok := l.Lookup(id); ok || !l.Known(id) {
				t.Errorf("%s: its answer is kept, or it is forgotten", id)
			}
			_, fresh, err := l.Begin(id, body(id))
			if fresh {
				t.Errorf("%s would be performed again", id)
			}
			wantCode(t, err, sandbox.Conflict)
		}
	}
	check()
	l.Close()
	l = open(t, c)
	check()

	perform(t, l, "large", make([]byte, 2000)) // over MaxBytes: alone, but kept
	if _, ok := l.Lookup("large"); !ok {
		t.Error("the newest answer is not kept")
	}
	if _, ok := l.Lookup("a9"); ok {
		t.Error("more than MaxBytes are kept")
	}
}

func TestTheFileStaysSmall(t *testing.T) {
	c := ledger.Config{Path: filepath.Join(t.TempDir(), "l"), Keep: 4}
	l := open(t, c)
	answer := bytes.Repeat([]byte("x"), 50_000)
	for i := range 200 { // 10 MB in all, of which 200 kB are wanted
		perform(t, l, fmt.Sprint("a", i), answer)
	}
	st, err := os.Stat(c.Path)
	if err != nil || st.Size() > 2<<20 {
		t.Errorf("the file has %d bytes, %v", st.Size(), err)
	}
	l.Close()
	l = open(t, c)
	wantAnswer(t, l, "a199", string(answer))
	if !l.Known("a0") || l.Known("b0") {
		t.Error("what is known has changed")
	}
}

func TestATornTailIsCutOff(t *testing.T) {
	c := ledger.Config{Path: filepath.Join(t.TempDir(), "l")}
	l := open(t, c)
	perform(t, l, "a", []byte("first"))
	l.Close()
	whole, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, c)
	perform(t, l, "b", []byte("second"))
	l.Close()
	long, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range long {
		if err := os.WriteFile(c.Path, long[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(c)
		if err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		if n >= len(whole) {
			wantAnswer(t, l, "a", "first")
		}
		perform(t, l, "c", []byte("third"))
		l.Close()
		l = open(t, c)
		wantAnswer(t, l, "c", "third")
		l.Close()
	}
	flipped := slices.Clone(long)
	flipped[len(whole)+20] ^= 1
	if err := os.WriteFile(c.Path, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, c)
	wantAnswer(t, l, "a", "first")
	if l.Known("b") {
		t.Error("a record with a wrong sum was believed")
	}
}

func TestAnotherFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	const text = "buy milk, and some more of everything else"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ledger.Open(ledger.Config{Path: path})
	wantCode(t, err, sandbox.Invalid)
	if got, _ := os.ReadFile(path); string(got) != text {
		t.Errorf("the file is now %q", got)
	}
	_, err = ledger.Open(ledger.Config{Path: path}) // the failed Open has let go of the lock
	wantCode(t, err, sandbox.Invalid)
}

func TestAClosedLedgerBeginsNothing(t *testing.T) {
	l := open(t, ledger.Config{Path: filepath.Join(t.TempDir(), "l")})
	e := begin(t, l, "a", "")
	l.Close()
	_, _, err := l.Begin("b", body(""))
	wantCode(t, err, sandbox.Unavailable)
	wantCode(t, l.Raise(1), sandbox.Unavailable)
	wantCode(t, e.Done([]byte("late")), sandbox.Unavailable)
	wantAnswer(t, l, "a", "late") // seen all the same
	if !errors.As(err, new(*sandbox.Error)) {
		t.Errorf("%T is no *sandbox.Error", err)
	}
}
