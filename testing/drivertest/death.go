package drivertest

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

func testKilled(t *testing.T, w *world) {
	b, other := w.open(), w.open()
	spec := sandbox.Spec{ID: "killed", Owner: "me", Epoch: 1}
	s := w.start(b, spec)
	before := w.list(b, "me")["killed"]
	first := w.run(s, "echo kept >file; echo $SANDBOXD_PID")
	pids := w.escapees(s)
	attached := w.attach(other, "killed", 1)
	if exit := w.kill(s); exit.Signal != 9 && exit.Code >= 0 {
		t.Errorf("killed by SIGKILL, and Wait says %v", exit)
	}
	if _, err := attached.Wait(w.context()); err != nil {
		t.Errorf("Wait of the one who attached: %v", err)
	}
	for _, b := range []*backends.Backend{b, other} {
		if l, ok := w.list(b, "me")["killed"]; !ok || !l.Exited {
			t.Errorf("listed as %+v, %v", l, ok)
		}
		_, err := b.Attach(w.context(), "killed", 1)
		w.wantCode("Attach", err, sandbox.NotFound)
	}

	spec.Epoch = 2
	s = w.start(other, spec)
	w.wantDead(pids)
	if got := w.run(s, "cat file"); got != "kept" {
		t.Errorf("the workspace has lost its file: %q", got)
	}
	if got := w.run(s, "echo $SANDBOXD_PID"); got == first && w.shared(s) {
		t.Errorf("the server is still %s", got)
	}
	l := w.list(b, "me")["killed"]
	if l.Exited || l.Epoch != 2 || !l.Created.Equal(before.Created) || l.Workspace != before.Workspace {
		t.Errorf("revived, it is %+v; before, it was %+v", l, before)
	}
	if f, ok := s.Instance().(backends.Fresh); ok && f.Fresh() {
		t.Error("the revived sandbox counts as a new one")
	}
	w.run(w.attach(b, "killed", 2), "true")
}

func testKilledThenStopped(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "dead"})
	pids := w.escapees(s)
	w.kill(s)
	w.stop(s)
	w.wantDead(pids)
	w.wantNone(b, "dead")
}

func testKilledThenRemoved(t *testing.T, w *world) {
	b, other := w.open(), w.open()
	s := w.start(b, sandbox.Spec{ID: "dead"})
	pids := w.escapees(s)
	w.kill(s)
	if err := other.Remove(w.context(), "dead", backends.AnyEpoch, grace); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	w.wantDead(pids)
	w.wantNone(b, "dead")
	if err := s.Stop(w.context(), grace); err != nil {
		t.Errorf("Stop of what another has removed: %v", err)
	}
	// A sandbox of the same name is another one: who had the old one cannot end it.
	next := w.start(other, sandbox.Spec{ID: "dead"})
	if err := s.Stop(w.context(), grace); err != nil {
		t.Errorf("Stop of what another has removed and replaced: %v", err)
	}
	w.run(next, "true")
}

// testHung stops the server by SIGSTOP, so that it lives and does not answer.
func testHung(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "hung", Epoch: 1})
	if _, ok := s.Instance().(backends.Halter); !ok {
		t.Skip("no Halter")
	}
	w.run(s, "echo kept >file")
	pids := w.escapees(s)
	if pid := w.server(s); pid > 0 {
		w.signal(pid, syscall.SIGSTOP)
	} else {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: "kill -STOP $SANDBOXD_PID", Blocking: true}}, nil)
		cancel()
		if err == nil {
			t.Log("it answered before it stopped")
		}
	}
	if err := s.Halt(w.context()); err != nil {
		t.Fatalf("Halt: %v", err)
	}
	w.wantDead(pids)
	if _, err := s.Wait(w.context()); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if l := w.list(b, "")["hung"]; !l.Exited {
		t.Errorf("listed as %+v", l)
	}
	s = w.start(b, sandbox.Spec{ID: "hung", Epoch: 2})
	if got := w.run(s, "cat file"); got != "kept" {
		t.Errorf("the workspace has lost its file: %q", got)
	}
}

// testLedger asks a revived server what it remembers: a done action is answered and not run again, and one that was
// running is told to be interrupted.
func testLedger(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "ledger", Epoch: 1})
	done := sandbox.Action{ID: "done", Args: sandbox.RunArgs{Command: "echo x >>runs; echo ran"}}
	if _, err := s.Do(w.context(), done, nil); err != nil {
		t.Fatalf("Do: %v", err)
	}
	pid := w.server(s)
	cut := sandbox.Action{ID: "cut", Args: sandbox.RunArgs{
		Command: "echo x >>cuts; echo begun; kill -9 $SANDBOXD_PID; sleep 100006; echo x >>cuts", Blocking: true}}
	var once sync.Once
	w.lastAction(s, cut, func(int64, []byte) {
		if pid > 0 {
			once.Do(func() { w.signal(pid, syscall.SIGKILL) })
		}
	})

	s = w.start(b, sandbox.Spec{ID: "ledger", Epoch: 2})
	o, err := s.Do(w.context(), done, nil)
	if err != nil || o.Content == "" {
		t.Errorf("what was done is answered %+v, %v", o, err)
	}
	o, err = s.Do(w.context(), cut, nil)
	if err != nil || !o.Interrupted() {
		t.Errorf("what was cut off is answered %+v, %v", o, err)
	}
	if got := w.run(s, "cat runs cuts | wc -l"); got != "2" {
		t.Errorf("the two actions ran %s times", got)
	}
	if got, err := s.Settle(w.context(), "never", nil); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("what was never sent is settled as %+v, %v", got, err)
	}
}
