package drivertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

func testEpoch(t *testing.T, w *world) {
	a, b := w.open(), w.open()
	w.start(a, sandbox.Spec{ID: "epoch", Epoch: 3})
	s := w.start(b, sandbox.Spec{ID: "epoch", Epoch: 5})
	if l := w.list(a, "")["epoch"]; l.Epoch != 5 {
		t.Errorf("after a start with epoch 5 the label says %d", l.Epoch)
	}
	_, err := a.Start(w.context(), sandbox.Spec{ID: "epoch", Epoch: 4})
	w.wantCode("Start with an old epoch", err, sandbox.Conflict)
	_, err = a.Attach(w.context(), "epoch", 4)
	w.wantCode("Attach with an old epoch", err, sandbox.Conflict)
	w.run(s, "true")

	newest := w.attach(a, "epoch", 6)
	if _, ok := newest.Instance().(backends.Labeler); ok {
		if l := w.list(b, "")["epoch"]; l.Epoch != 6 {
			t.Errorf("after an attach with epoch 6 the label says %d", l.Epoch)
		}
	}
	_, err = s.Do(w.context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil)
	w.wantCode("Do of the one who was replaced", err, sandbox.Conflict)
	if _, ok := s.Instance().(backends.Halter); ok {
		w.wantCode("Halt of the one who was replaced", s.Halt(w.context()), sandbox.Conflict)
	}
	w.wantCode("Stop of the one who was replaced", s.Stop(w.context(), grace), sandbox.Conflict)
	if _, ok := newest.Instance().(backends.Labeler); ok {
		w.wantCode("Remove by the one who was replaced", b.Remove(w.context(), "epoch", 5, grace), sandbox.Conflict)
	}
	w.run(newest, "true")
	if err := b.Remove(w.context(), "epoch", 6, grace); err != nil {
		t.Errorf("Remove by the newest: %v", err)
	}
	w.wantNone(a, "epoch")
}

func testAttach(t *testing.T, w *world) {
	first := w.open()
	s := w.start(first, sandbox.Spec{ID: "attach", Owner: "me", Epoch: 1})
	w.run(s, "kept=yes")
	second := w.open()
	again := w.attach(second, "attach", 2)
	if got := w.run(again, "echo $kept"); got != "yes" {
		t.Errorf("attached to another shell: kept is %q", got)
	}
	// To let go is not to end: neither of one sandbox nor of all.
	s.Close()
	if err := first.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := w.run(again, "echo $kept"); got != "yes" {
		t.Errorf("after the first has let go, kept is %q", got)
	}
	w.stop(again)
	w.wantNone(second, "attach")
}

func testWholeNames(t *testing.T, w *world) {
	b := w.open()
	for id, owner := range map[sandbox.ID]string{"a": "o", "a-b": "o-2", "ab": "oo", "a.b": "o.2"} {
		w.start(b, sandbox.Spec{ID: id, Owner: owner})
	}
	if l := w.list(b, "o"); len(l) != 1 || l["a"].ID != "a" {
		t.Errorf("owner o has %+v", l)
	}
	if err := b.Remove(w.context(), "a", backends.AnyEpoch, grace); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	l := w.list(b, "")
	for _, id := range []sandbox.ID{"a-b", "ab", "a.b"} {
		if l[id].ID != id || l[id].Exited {
			t.Errorf("after a was removed, %s is %+v", id, l[id])
		}
		w.run(w.attach(b, id, 1), "true")
	}
	w.wantNone(b, "a")
}

func testWait(t *testing.T, w *world) {
	b, other := w.open(), w.open()
	s := w.start(b, sandbox.Spec{ID: "wait"})
	attached := w.attach(other, "wait", 0)

	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.Wait(short)
	w.wantCode("Wait that nobody waits for", err, sandbox.Canceled)

	var wg sync.WaitGroup
	exits := make(chan sandbox.Exit, 8)
	for range cap(exits) / 2 {
		for _, s := range []*backends.Sandbox{s, attached} {
			wg.Go(func() {
				exit, err := s.Wait(w.context())
				if err != nil {
					t.Errorf("Wait: %v", err)
				}
				exits <- exit
			})
		}
	}
	w.stop(s)
	wg.Wait()
	first := <-exits
	for range cap(exits) - 1 {
		if e := <-exits; e != first {
			t.Logf("seen differently: %v and %v", first, e) // an attached one may not see how it ended
		}
	}
	for _, s := range []*backends.Sandbox{s, attached} {
		if _, err := s.Wait(w.context()); err != nil {
			t.Errorf("Wait after the end: %v", err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Wait(over); err != nil {
			t.Errorf("Wait after the end, with a context that has ended: %v", err)
		}
	}
}

func testStopLeavesNothing(t *testing.T, w *world) {
	b := w.open()
	for name, grace := range map[string]time.Duration{"asked": grace, "forced": 0} {
		s := w.start(b, sandbox.Spec{ID: sandbox.ID(name)})
		pids := w.escapees(s)
		if err := s.Stop(w.context(), grace); err != nil {
			t.Errorf("%s: Stop: %v", name, err)
		}
		w.wantDead(pids)
		w.wantNone(b, sandbox.ID(name))
	}
}

func testStopCanceled(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "canceled"})
	pids := w.escapees(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx, time.Hour); err != nil {
		t.Errorf("Stop: %v", err)
	}
	w.wantDead(pids)
	w.wantNone(b, "canceled")
}

func testWorkspace(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "unnamed"})
	own := w.list(b, "")["unnamed"].Workspace
	if own == "" {
		t.Skip("this machine does not see the workspaces")
	}
	// A directory without permissions must not be in the way, and a link not be followed.
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "stays"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(s, "echo >file; mkdir -p deep/er; echo >deep/er/file; chmod 0 deep/er deep; ln -s "+outside+" link")
	if _, err := os.Stat(filepath.Join(own, "file")); err != nil {
		t.Errorf("the workspace is said to be %s: %v", own, err)
	}
	w.stop(s)
	if _, err := os.Lstat(own); !os.IsNotExist(err) {
		t.Errorf("the workspace %s is left: %v", own, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "stays")); err != nil {
		t.Errorf("removed through a link: %v", err)
	}

	named := t.TempDir()
	s = w.start(b, sandbox.Spec{ID: "named", Workspace: named})
	w.run(s, "echo hello >file")
	if l := w.list(b, "")["named"]; l.Workspace != named {
		t.Errorf("listed as %+v, want the workspace %s", l, named)
	}
	_, err := b.Start(w.context(), sandbox.Spec{ID: "named", Workspace: t.TempDir()})
	w.wantCode("Start with another workspace", err, sandbox.Conflict)
	w.stop(s)
	if got, err := os.ReadFile(filepath.Join(named, "file")); err != nil || string(got) != "hello\n" {
		t.Errorf("in the named workspace: %q, %v", got, err)
	}
}
