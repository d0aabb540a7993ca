package journal

import (
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestOneHolderAtATime(t *testing.T) {
	path := temp(t)
	j, other := open(t, path), open(t, path)
	ctx := t.Context()
	mine, err := j.Acquire(ctx, "a", "me", ttl)
	if err != nil || mine.Epoch() != 1 {
		t.Fatalf("epoch %d, %v", mine.Epoch(), err)
	}
	_, err = other.Acquire(ctx, "a", "you", ttl)
	wantCode(t, err, sandbox.Conflict)
	if _, err := other.Acquire(ctx, "b", "you", ttl); err != nil {
		t.Errorf("another runtime: %v", err)
	}
	if err := mine.Release(ctx); err != nil {
		t.Fatal(err)
	}
	yours, err := other.Acquire(ctx, "a", "you", ttl)
	if err != nil || yours.Epoch() != 2 {
		t.Fatalf("after the release: epoch %d, %v", yours.Epoch(), err)
	}
	wantCode(t, mine.Renew(ctx), sandbox.Conflict)
	if err := mine.Release(ctx); err != nil {
		t.Errorf("release of a lost lease: %v", err)
	}
	if err := yours.Renew(ctx); err != nil {
		t.Errorf("the old holder's release touched the new one's lease: %v", err)
	}
	_, err = j.Append(ctx, "a", mine.Epoch(), note(1))
	wantCode(t, err, sandbox.Conflict)
	again, err := other.Acquire(ctx, "a", "you", ttl)
	if err != nil || again.Epoch() != 3 {
		t.Errorf("the same owner again: epoch %d, %v", again.Epoch(), err)
	}
}

func TestALeaseExpires(t *testing.T) {
	j := open(t, temp(t))
	ctx := t.Context()
	short, err := j.Acquire(ctx, "a", "me", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(short.Expires()) + time.Millisecond)
	if err := short.Renew(ctx); err != nil {
		t.Errorf("nobody has taken it, yet: %v", err)
	}
	time.Sleep(time.Until(short.Expires()) + time.Millisecond)
	yours, err := j.Acquire(ctx, "a", "you", ttl)
	if err != nil || yours.Epoch() != 2 {
		t.Fatalf("epoch %d, %v", yours.Epoch(), err)
	}
	wantCode(t, short.Renew(ctx), sandbox.Conflict)
}

func TestALeaseEndsWithItsProcess(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	c := spawn(t, path, "hold")
	if !c.out.Scan() {
		t.Fatal("the child holds nothing")
	}
	_, err := j.Acquire(t.Context(), "a", "me", ttl)
	wantCode(t, err, sandbox.Conflict)
	_ = c.Process.Kill()
	_ = c.Wait()
	l, err := j.Acquire(t.Context(), "a", "me", ttl) // the child's has an hour to go
	if err != nil || l.Epoch() != 2 {
		t.Errorf("epoch %d, %v", l.Epoch(), err)
	}
}

func TestProcessesAreToldApart(t *testing.T) {
	me := self()
	for process, want := range map[string]bool{
		me:                      false,
		"":                      false,
		"otherboot pid:[1] 1 1": false,
		me + "0":                true, // same number, another start
	} {
		if got := ended(process); got != want {
			t.Errorf("ended(%q) = %v", process, got)
		}
	}
}

func TestLeasesAreChecked(t *testing.T) {
	j := open(t, temp(t))
	_, err := j.Acquire(t.Context(), "../a", "me", ttl)
	wantCode(t, err, sandbox.Invalid)
	_, err = j.Acquire(t.Context(), "a", "", ttl)
	wantCode(t, err, sandbox.Invalid)
	_, err = j.Acquire(t.Context(), "a", "me", 0)
	wantCode(t, err, sandbox.Invalid)
	wantCode(t, Lease{}.Renew(t.Context()), sandbox.Invalid)
}
