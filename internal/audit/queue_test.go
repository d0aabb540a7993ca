package audit

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// A storm is told up to the bound, then counted; what is counted is told when there is room.
func TestStorm(t *testing.T) {
	q := newQueue(2)
	now := time.Now()
	q.now = func() time.Time { return now }
	for range 1000 {
		if q.wants(sandbox.AuditExec) {
			q.put(sandbox.AuditRecord{Kind: sandbox.AuditExec})
		}
	}
	if !q.wants(sandbox.AuditPrivilege) {
		t.Error("a storm of one kind hides another")
	}
	if lines, _, _ := q.after(0); len(lines) != 2*burst {
		t.Fatalf("of a storm %d records are told", len(lines))
	}
	if !q.sum() {
		t.Error("there is room for a sum already")
	}
	now = now.Add(time.Second)
	if q.sum() {
		t.Error("there is no room for a sum after a second")
	}
	lines, _, _ := q.after(2 * burst)
	if len(lines) != 1 || lines[0].Untold != 1000-2*burst || lines[0].Kind != sandbox.AuditExec {
		t.Errorf("the sum is %+v", lines)
	}
}

// Nobody listens: what waits is bounded, and what does not fit is counted.
func TestNobodyListens(t *testing.T) {
	q := newQueue(sandbox.MaxAuditRate)
	long := sandbox.AuditRecord{Kind: sandbox.AuditExec, Argv: slices.Repeat([]string{string(make([]byte, 1000))}, 4)}
	for range 20000 {
		if q.wants(sandbox.AuditExec) {
			q.put(long)
		}
	}
	lines, _, _ := q.after(0)
	if len(lines) > maxWaiting || q.bytes > maxBytes+long4 || int64(len(lines))+q.untold[sandbox.AuditExec] != 20000 {
		t.Errorf("%d wait, of %d bytes, and %d are counted", len(lines), q.bytes, q.untold[sandbox.AuditExec])
	}
	q.acknowledge(q.last)
	if q.bytes != 0 {
		t.Errorf("of nothing there are %d bytes", q.bytes)
	}
}

const long4 = 8 << 10 // bytes: more than one record has

// serving is a queue that tells whoever connects, until ended is closed; wg is waited for then.
func serving(t *testing.T) (q *queue, at *net.UnixListener, ended chan struct{}, wg *sync.WaitGroup) {
	t.Helper()
	at, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	q = newQueue(sandbox.MaxAuditRate)
	ended = make(chan struct{})
	wg = &sync.WaitGroup{}
	wg.Go(func() { q.serve(at, ended) })
	return q, at, ended, wg
}

// Several controllers come one after the other: each is told what those before have not acknowledged, and what was acknowledged is not told twice.
func TestServe(t *testing.T) {
	leak.Check(t)
	q, at, ended, wg := serving(t)
	put := func(from, to int) {
		for i := from; i < to; i++ {
			q.put(sandbox.AuditRecord{Kind: sandbox.AuditExec, Path: fmt.Sprint(i)})
		}
	}
	dial := func() net.Conn {
		c, err := net.Dial("unix", at.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var mu sync.Mutex
	var told []string
	hear := func(c net.Conn, most int) (replaced bool, err error) {
		n := 0
		return Hear(c, func(records []sandbox.AuditRecord) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range records {
				told = append(told, r.Path)
			}
			if n += len(records); most > 0 && n >= most {
				c.Close() // as a controller that is killed
			}
			return nil
		})
	}
	put(0, 10)
	first := dial()
	if replaced, err := hear(first, 4); replaced || err == nil {
		t.Errorf("a controller that was cut off ends with %v, %v", replaced, err)
	}
	heardFirst := len(told)
	second := dial()
	replaced := make(chan bool)
	wg.Go(func() {
		r, _ := hear(second, -1)
		replaced <- r
	})
	for {
		if lines, _, _ := q.after(0); len(lines) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	third := dial()
	if !<-replaced {
		t.Error("a controller is not told that another one came")
	}
	put(10, 20)
	q.close()
	close(ended)
	if replaced, err := hear(third, -1); replaced || err != nil {
		t.Errorf("the last one ends with %v, %v", replaced, err)
	}
	third.Close()
	wg.Wait()
	// What the first did not acknowledge is told once more, and the rest follows.
	n := len(told) - 20
	for i, s := range told {
		if i >= heardFirst {
			i -= n
		}
		if n < 0 || n > heardFirst || s != fmt.Sprint(i) {
			t.Fatalf("told was %v, the first %d of them before it was cut off", told, heardFirst)
		}
	}
}

// What nobody takes is not acknowledged: the next connection is told of it.
func TestUntaken(t *testing.T) {
	leak.Check(t)
	q, at, ended, wg := serving(t)
	const all = 3 * together
	for i := range all {
		q.put(sandbox.AuditRecord{Kind: sandbox.AuditExec, Path: fmt.Sprint(i)})
	}
	var taken []string
	for round := range 5 {
		c, err := net.Dial("unix", at.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		_, err = Hear(c, func(records []sandbox.AuditRecord) error {
			if calls++; calls == 2 && round < 2 {
				return errors.New("the disk is full")
			}
			if len(records) > together {
				t.Errorf("%d records are told at a time", len(records))
			}
			for _, r := range records {
				taken = append(taken, r.Path)
			}
			if len(taken) == all {
				q.close()
			}
			return nil
		})
		c.Close()
		if round < 2 != errors.Is(err, ErrUntaken) {
			t.Fatalf("round %d ends with %v", round, err)
		}
		if len(taken) == all {
			break
		}
	}
	for i, s := range taken {
		if s != fmt.Sprint(i) {
			t.Fatalf("taken was %v", taken)
		}
	}
	if len(taken) != all {
		t.Errorf("of %d records %d were taken", all, len(taken))
	}
	close(ended)
	wg.Wait()
}
