package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// followed follows a directory in a test.
type followed struct {
	*Follow
	told chan sandbox.AuditRecord
	stop func()
}

// follow refuses the first records that it is told.
func follow(t *testing.T, l *Looks, dir string, refused int) *followed {
	t.Helper()
	told := make(chan sandbox.AuditRecord, 100)
	f := NewFollow(l, dir, func() bool { return true }, func(r sandbox.AuditRecord) error {
		if refused--; refused >= 0 {
			return errors.New("the disk is full")
		}
		told <- r
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return &followed{f, told, func() { cancel(); wg.Wait() }}
}

// What nobody took is told again, and what it was compared with is not forgotten before.
func TestFollowTellsAgain(t *testing.T) {
	leak.Check(t)
	dir, l := t.TempDir(), NewLooks()
	f := follow(t, l, dir, 1)
	f.Await(t.Context())
	write(t, filepath.Join(dir, "a"), "a")
	f.Acted()
	if r := <-f.told; fmt.Sprint(r.Changes) != "[{a added}]" || r.Kind != sandbox.AuditChanged || r.Time.IsZero() {
		t.Errorf("told was %+v", r)
	}
	write(t, filepath.Join(dir, "b"), "b")
	f.Acted()
	if r := <-f.told; fmt.Sprint(r.Changes) != "[{b added}]" {
		t.Errorf("told was %+v", r)
	}
	f.stop()
	if l.held != 0 {
		t.Errorf("%d bytes are remembered of what nobody follows", l.held)
	}
}

// Why not all is told is told once, when somebody takes it.
func TestFollowTellsWhy(t *testing.T) {
	leak.Check(t)
	dir := fill(t, 100)
	f := follow(t, newLooks(4<<10), dir, 1)
	defer f.stop()
	f.Await(t.Context())
	f.Acted()
	if r := <-f.told; !strings.Contains(r.Reason, "too many files together") || !r.Cut || len(r.Changes) != 0 {
		t.Errorf("told was %+v", r)
	}
	f.Acted()
	f.Acted()
	f.stop()
	if len(f.told) > 0 {
		t.Errorf("told was besides %+v", <-f.told)
	}
}

// A start that has no time for the first look goes on, and that it did is told.
func TestFollowLate(t *testing.T) {
	leak.Check(t)
	l := NewLooks()
	if err := l.begin(t.Context()); err != nil { // another one works
		t.Fatal(err)
	}
	f := follow(t, l, t.TempDir(), 0)
	defer f.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Await(ctx)
	l.end(0)
	if r := <-f.told; !strings.Contains(r.Reason, "first look") || !r.Cut {
		t.Errorf("told was %+v", r)
	}
}
