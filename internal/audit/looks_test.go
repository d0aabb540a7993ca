package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// fill makes a directory with n files.
func fill(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprint(i)), "")
	}
	return dir
}

// What is remembered of all sandboxes together is bounded, none gets all of it, and what is released can be had again.
func TestRemembered(t *testing.T) {
	const most = 16 << 10
	l := newLooks(most)
	dir := fill(t, 500) // some 32 KB
	var trees []*Tree
	for range 20 {
		tree := lookWith(t, l, dir)
		if tree.Lacks == "" {
			t.Fatalf("%d files are remembered in %d bytes", tree.Len(), most)
		}
		if held := l.held; held > most || len(trees) == 0 && (held > most/4 || held < most/8) {
			t.Fatalf("of %d bytes the first %d sandboxes have %d", most, len(trees)+1, held)
		}
		trees = append(trees, tree)
	}
	for _, tree := range trees {
		tree.Release()
		tree.Release()
	}
	if l.held != 0 {
		t.Errorf("of nothing %d bytes are remembered", l.held)
	}
}

// Looks work a share of the time, after what they may do at once; and whoever waits for a turn waits no longer than his context.
func TestLooksPause(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := NewLooks()
		began := time.Now()
		const turns = 1000
		for range turns {
			if err := l.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.end(piece) // time stands still while somebody works
		}
		if took := time.Since(began); took < (turns*piece-ahead-piece)*share || took > turns*piece*share {
			t.Errorf("work of %v took %v", turns*piece, took)
		}
		if err := l.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Look(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a look that gets no turn ends with %v", err)
		}
		l.end(time.Hour)
		if _, err := l.Look(ctx, dir); !errors.Is(err, context.DeadlineExceeded) || l.held != 0 {
			t.Errorf("a look in a pause ends with %v, and has %d bytes", err, l.held)
		}
	})
}
