package journal

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestSubscribersSeeAllInOrder(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	elsewhere := open(t, path) // has no word from j but by the bell
	l := acquire(t, j, "a")
	acquire(t, j, "b")
	const total = 600 // more than a page
	var wg sync.WaitGroup
	for _, from := range []*Journal{j, elsewhere} {
		for _, after := range []uint64{0, 7, 400} {
			wg.Go(func() {
				want := after + 1
				for r, err := range from.Subscribe(t.Context(), "a", after) {
					if err != nil || r.Seq != want {
						t.Errorf("after %d: got %d, %v, want %d", after, r.Seq, err, want)
						return
					}
					if want++; want > total {
						return
					}
				}
			})
		}
	}
	for i := range total {
		if _, err := j.Append(t.Context(), "a", l.Epoch(), note(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(t.Context(), "b", l.Epoch(), note(i)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// TestSubscribersHearOfOtherProcesses appends in another process, one record at a time, each asked for only when the
// one before has been seen: a wake that is missed once stops it for ever.
func TestSubscribersHearOfOtherProcesses(t *testing.T) {
	path := temp(t)
	j := open(t, path)
	acquire(t, j, "a")
	c := spawn(t, path, "once")
	ask := func(n int) {
		if _, err := fmt.Fprintln(c.in, n); err != nil {
			t.Error(err)
		}
	}
	const rounds = 300
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ask(1)
	asked := time.Now()
	var took time.Duration
	for r, err := range j.Subscribe(ctx, "a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		took += time.Since(asked)
		if string(r.Body) != fmt.Sprint(r.Seq) {
			t.Fatalf("record %d says %s", r.Seq, r.Body)
		}
		if r.Seq == rounds {
			break
		}
		asked = time.Now()
		ask(int(r.Seq) + 1)
	}
	_ = c.in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%v from asking to seeing, on average", took/rounds)
}

func TestSubscribeEnds(t *testing.T) {
	j := open(t, temp(t))
	l := acquire(t, j, "a")
	last := func(ctx context.Context, id sandbox.ID) (err error) {
		for _, err = range j.Subscribe(ctx, id, 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	wantCode(t, last(t.Context(), "nobody"), sandbox.NotFound)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	wantCode(t, last(ctx, "a"), sandbox.Canceled)

	ended := make(chan error, 1)
	seen := make(chan struct{})
	go func() {
		for r, err := range j.Subscribe(context.Background(), "a", 0) {
			if err != nil {
				ended <- err
				return
			}
			if r.Seq == 1 {
				close(seen)
			}
		}
	}()
	if _, err := j.Append(t.Context(), "a", l.Epoch(), note(1)); err != nil {
		t.Fatal(err)
	}
	<-seen
	if err := j.RemoveRuntime(t.Context(), "a", l.Epoch()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-ended, sandbox.NotFound)
}

func TestASlowSubscriberHoldsNobodyUp(t *testing.T) {
	j := open(t, temp(t))
	l := acquire(t, j, "a")
	next, stop := pull(j, "a")
	defer stop()
	if _, err := j.Append(t.Context(), "a", l.Epoch(), note(1)); err != nil {
		t.Fatal(err)
	}
	if r, err := next(); err != nil || r.Seq != 1 {
		t.Fatal(r, err)
	}
	for i := range 1000 { // nobody reads meanwhile
		if _, err := j.Append(t.Context(), "a", l.Epoch(), note(i)); err != nil {
			t.Fatal(err)
		}
	}
	for want := uint64(2); want <= 1001; want++ {
		if r, err := next(); err != nil || r.Seq != want {
			t.Fatalf("got %d, %v, want %d", r.Seq, err, want)
		}
	}
}

func pull(j *Journal, id sandbox.ID) (func() (Record, error), func()) {
	next, stop := iter.Pull2(j.Subscribe(context.Background(), id, 0))
	return func() (Record, error) {
		r, err, _ := next()
		return r, err
	}, stop
}
