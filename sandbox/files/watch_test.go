package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// An eye collects what a watch tells.
type eye struct {
	t      *testing.T
	events chan Event
	ended  chan error
	cancel context.CancelFunc
}

func watchIt(t *testing.T, s *Store, path string, recursive bool) *eye {
	t.Helper()
	w, err := s.Watch(path, recursive)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := &eye{t, make(chan Event, 100_000), make(chan error, 1), cancel}
	go func() {
		err := w.Run(ctx, func(ev Event) error { e.events <- ev; return nil })
		w.Close()
		e.ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-e.ended:
		case <-time.After(time.Minute):
			t.Error("the watch does not end")
		}
	})
	if got := <-e.events; got.Type != "ready" {
		t.Errorf("first %+v", got)
	}
	return e
}

// sees waits for an event, as "type path" or "moved from>path", and gives those before it.
func (e *eye) sees(want string) (before []string) {
	e.t.Helper()
	for {
		select {
		case ev := <-e.events:
			got := ev.Type + " " + ev.Path
			if ev.From != "" {
				got = ev.Type + " " + ev.From + ">" + ev.Path
			}
			if ev.Dir {
				got += "/"
			}
			if ev.Time.IsZero() {
				e.t.Errorf("%s has no time", got)
			}
			if got == want {
				return before
			}
			before = append(before, got)
		case <-time.After(time.Minute):
			e.t.Fatalf("no %q; before that: %q", want, before)
		}
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	leak.Check(t)
	s, dir := open(t)
	plant(t, dir, "w/old/f", "")
	at := func(name string) string { return filepath.Join(dir, "w", name) }
	e := watchIt(t, s, "w", true)
	plant(t, dir, "w/f", "x")
	e.sees("created f")
	e.sees("modified f")
	must(t, os.Chmod(at("f"), 0o600))
	e.sees("chmod f")
	must(t, os.Rename(at("f"), at("old/g")))
	e.sees("moved f>old/g")
	must(t, os.Remove(at("old/g")))
	e.sees("removed old/g")
	must(t, os.MkdirAll(at("n/e/w"), 0o755), os.WriteFile(at("n/e/w/f"), nil, 0o644))
	e.sees("created n/")
	e.sees("created n/e/w/f")
	must(t, os.Rename(at("n/e"), at("m")))
	e.sees("moved n/e>m/")
	must(t, os.WriteFile(at("m/w/late"), nil, 0o644))
	e.sees("created m/w/late")

	// What replaces files atomically is told as what it is.
	must(t, put(s, "w/old/f", strings.NewReader("new"), 0))
	if before := e.sees("modified old/f"); len(before) > 0 {
		t.Errorf("a put tells %q besides", before)
	}
	must(t, put(s, "w/old/new", strings.NewReader("new"), 0))
	if before := e.sees("created old/new"); len(before) > 0 {
		t.Errorf("a put tells %q besides", before)
	}

	// In and out of what is watched.
	must(t, os.MkdirAll(filepath.Join(dir, "out/d"), 0o755), os.WriteFile(filepath.Join(dir, "out/d/f"), nil, 0o644))
	must(t, os.Rename(filepath.Join(dir, "out/d"), at("in")))
	e.sees("moved in/")
	e.sees("created in/f")
	must(t, os.Rename(at("m"), filepath.Join(dir, "out/m")))
	e.sees("removed m/")
	must(t, os.WriteFile(filepath.Join(dir, "out/m/w/secret"), nil, 0o644), os.WriteFile(at("end"), nil, 0o644))
	if before := e.sees("created end"); len(before) > 0 {
		t.Errorf("a directory that has left is told of: %q", before)
	}
	must(t, os.RemoveAll(at("")))
	wantCode(t, <-e.ended, sandbox.NotFound)
	e.ended <- nil
}

func TestWatchOneLevelAndFile(t *testing.T) {
	leak.Check(t)
	s, dir := open(t)
	plant(t, dir, "d/f", "")
	plant(t, dir, "d/sub/f", "")
	flat, one := watchIt(t, s, "d", false), watchIt(t, s, "d/f", true)
	must(t, os.WriteFile(filepath.Join(dir, "d/sub/f"), []byte("x"), 0o644), os.WriteFile(filepath.Join(dir, "d/g"), nil, 0o644))
	if before := flat.sees("created g"); len(before) > 0 {
		t.Errorf("not recursive, and yet %q", before)
	}
	must(t, put(s, "d/f", strings.NewReader("new"), 0), os.Rename(filepath.Join(dir, "d/g"), filepath.Join(dir, "d/f")),
		os.Remove(filepath.Join(dir, "d/f")))
	got := append(one.sees("removed "), "removed")
	if !slices.Equal(got, []string{"modified ", "moved g>", "removed"}) {
		t.Errorf("of the file alone: %q", got)
	}
	one.cancel()
	wantCode(t, <-one.ended, sandbox.Canceled)
	one.ended <- nil
}

// TestWatchMissesNothing makes trees as fast as it can: every file must be told of.
func TestWatchMissesNothing(t *testing.T) {
	leak.Check(t)
	s, dir := open(t)
	e := watchIt(t, s, "", true)
	want := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 20 {
		for j := range 10 {
			want[fmt.Sprintf("d%d/e%d/f", i, j)] = true
		}
		wg.Go(func() {
			for j := range 10 {
				p := filepath.Join(dir, fmt.Sprintf("d%d/e%d", i, j))
				must(t, os.MkdirAll(p, 0o755), os.WriteFile(p+"/f", nil, 0o644))
			}
		})
	}
	wg.Wait()
	for len(want) > 0 {
		select {
		case ev := <-e.events:
			if ev.Type == "created" {
				delete(want, ev.Path)
			}
		case <-time.After(time.Minute):
			t.Fatalf("missed %d: %v", len(want), want)
		}
	}
}

func TestWatchOverflow(t *testing.T) {
	leak.Check(t)
	s, dir := open(t)
	w, err := s.Watch("", true)
	must(t, err)
	defer w.Close()
	// Nobody reads: the kernel's queue, of fs.inotify.max_queued_events, runs over.
	f, g := plant(t, dir, "f", ""), plant(t, dir, "g", "")
	for i := range 10_000 {
		must(t, os.Chmod(f, os.FileMode(0o600+i%8)), os.Chmod(g, os.FileMode(0o600+i%8)))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "late/er"), 0o755))
	enough := errors.New("enough")
	seen := ""
	err = w.Run(t.Context(), func(e Event) error {
		switch {
		case e.Type == "overflow":
			seen = e.Type
			plant(t, dir, "late/er/f", "")
		case e.Path == "late/er/f" && seen != "":
			return enough
		}
		return nil
	})
	if err != enough || seen != "overflow" {
		t.Errorf("%v, %q", err, seen)
	}
}

func TestWatchRefuses(t *testing.T) {
	s, dir := open(t)
	os.Symlink("/etc", filepath.Join(dir, "out"))
	for path, want := range map[string]sandbox.Code{"..": sandbox.Denied, "out": sandbox.Denied, "none": sandbox.NotFound} {
		_, err := s.Watch(path, true)
		wantCode(t, err, want)
	}
	w, err := s.Watch("", true)
	must(t, err)
	defer w.Close()
	if len(w.dirs) != 1 {
		t.Errorf("a link is followed: %v", w.dirs)
	}
}
