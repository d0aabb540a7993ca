package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestLife(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		var shown []byte
		seen, err := s.Do(t.Context(), command("x1", "echo hello"), func(offset int64, p []byte) { shown = append(shown, p...) })
		if err != nil || seen.Content != "hello" || string(shown) != "hello" {
			t.Errorf("Do: %+v, %v, shown %q", seen, err, shown)
		}
		if err := s.Report(t.Context(), sandbox.StatusLLMRetry, "again"); err != nil {
			t.Error(err)
		}
		expectCode(t, "a report of a runtime's own status", s.Report(t.Context(), sandbox.StatusReady, ""), sandbox.Invalid)
		if st := r.state(s); st.Status != sandbox.StatusReady || st.Epoch != 1 || st.Queued != 0 || st.Running != "" {
			t.Errorf("state: %+v", st)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		r.expectHistory("spec " + broughtUp + " +x1 -x1 LLM_RETRY STOPPED")
		_, err = s.Do(t.Context(), command("", "true"), nil)
		expectCode(t, "an action after Close", err, sandbox.Unavailable)
		if r.store.holder("a") != "" {
			t.Error("the lease is still held")
		}

		// The sandbox was left running: the next finds it.
		s = r.open("a")
		r.expectHistory("spec " + broughtUp + " +x1 -x1 LLM_RETRY STOPPED " + broughtUp)
		if r.world.starts != 1 {
			t.Errorf("started %d times", r.world.starts)
		}
		if err := s.Kill(t.Context()); err != nil {
			t.Error(err)
		}
		if r.world.box("a") != nil {
			t.Error("the sandbox is alive after Kill")
		}
		want := append(append([]sandbox.Status{}, bringUp...), sandbox.StatusLLMRetry, sandbox.StatusStopped)
		want = append(append(want, bringUp...), sandbox.StatusStopped)
		for i, ch := range r.changes.all() {
			if i >= len(want) || ch.State.Status != want[i] || ch.Reported != (want[i] == sandbox.StatusLLMRetry) {
				t.Errorf("change %d is %+v", i, ch)
			}
		}
	})
}

func TestSandboxDiesUnderAnAction(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		x := start(s, command("x", "sleep 1h"))
		y := start(s, command("y", "echo y"))
		r.world.box("a").kill(sandbox.Exit{Signal: 9})
		synctest.Wait()
		st := r.state(s)
		if st.Status != sandbox.StatusError || !st.Recovering || st.Attempt != 1 || st.Of != 3 || time.Until(st.NextAt) != time.Second {
			t.Errorf("while it waits for its restart: %+v", st)
		}
		if e, ok := errors.AsType[*ExitError](st.Cause); !ok || e.Exit.Signal != 9 {
			t.Errorf("cause: %v", st.Cause)
		}
		if x.finished() || y.finished() {
			t.Error("an action was answered before the restart")
		}
		time.Sleep(time.Second)
		if !x.finished() || x.err != nil || !x.seen.Interrupted() {
			t.Errorf("the action in flight: %+v, %v", x.seen, x.err)
		}
		if !y.finished() || y.err != nil || y.seen.Content != "y" {
			t.Errorf("the action that waited: %+v, %v", y.seen, y.err)
		}
		r.expectHistory("spec " + broughtUp + " +x " + broughtBack + " -x(interrupted) +y -y")
		if got := r.world.box("a").commands(); got != "sleep 1h; echo y" {
			t.Errorf("ran: %s", got)
		}
	})
}

func TestConnectionLostAndFoundAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		x := start(s, command("x", "sleep 5s"))
		b := r.world.box("a")
		b.mu.Lock()
		b.deaf = true // nothing answers; the action goes on
		b.mu.Unlock()
		time.Sleep(6*time.Second + time.Millisecond)
		if st := r.state(s); !st.Recovering {
			t.Errorf("after three signs of life missed: %+v", st)
		}
		b.mu.Lock()
		b.deaf = false
		b.mu.Unlock()
		time.Sleep(time.Second)
		if !x.finished() || x.err != nil || x.seen.Interrupted() {
			t.Errorf("the action: %+v, %v", x.seen, x.err)
		}
		if r.world.starts != 1 || b.commands() != "sleep 5s" {
			t.Errorf("%d starts, ran %s", r.world.starts, b.commands())
		}
	})
}

func TestRestartsSpent(t *testing.T) {
	for name, c := range map[string]struct {
		exit sandbox.Exit
		deaf bool
		want sandbox.Status
	}{
		"killed":      {exit: sandbox.Exit{Signal: 9}, want: sandbox.StatusError},
		"memory":      {exit: sandbox.Exit{Signal: 9, Memory: true}, want: sandbox.StatusErrorMemory},
		"unreachable": {deaf: true, want: sandbox.StatusErrorDisconnected},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				s, sibling := r.open("a"), r.open("b")
				b := r.world.box("a")
				x := start(s, command("x", "sleep 1h"))
				y := start(s, command("y", "echo y"))
				b.mu.Lock()
				b.deaf = c.deaf
				b.mu.Unlock()
				for range 4 {
					if !c.deaf {
						b.kill(c.exit)
					}
					time.Sleep(11 * time.Second)
				}
				st := r.state(s)
				if st.Status != sandbox.StatusStopped || st.Cause == nil || st.Recovering {
					t.Errorf("at the end: %+v", st)
				}
				var last []sandbox.Status
				for _, ch := range r.changes.all() {
					if ch.ID == "a" {
						last = append(last, ch.State.Status)
					}
				}
				if n := len(last); last[n-1] != sandbox.StatusStopped || last[n-2] != c.want {
					t.Errorf("the last changes: %v", last[n-2:])
				}
				if !x.finished() || !y.finished() {
					t.Fatal("somebody still waits")
				}
				if c.deaf {
					expectCode(t, "the action in flight", x.err, sandbox.Lost)
					expectCode(t, "the action that waited", y.err, sandbox.Unavailable)
				}
				_, err := s.Do(t.Context(), command("", "true"), nil)
				expectCode(t, "a new action", err, sandbox.Unavailable)
				_, err = s.Ready(t.Context())
				expectCode(t, "Ready", err, sandbox.Unavailable)

				// The sibling has noticed nothing.
				if seen, err := sibling.Do(t.Context(), command("", "echo fine"), nil); err != nil || seen.Content != "fine" {
					t.Errorf("sibling: %v, %v", seen, err)
				}
				for _, ch := range r.changes.all() {
					if ch.ID == "b" && ch.State.Cause != nil {
						t.Errorf("the sibling was told of %v", ch.State)
					}
				}

				b.mu.Lock()
				b.deaf = false
				b.mu.Unlock()
				if err := s.Reopen(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.deaf { // it goes on running, and is joined by whoever asks again
					x = start(s, command("x", "sleep 1h"))
					time.Sleep(time.Hour)
					if !x.finished() || x.err != nil || x.seen.Interrupted() {
						t.Errorf("the action in flight, asked for again: %+v, %v", x.seen, x.err)
					}
				}
				if seen, err := s.Do(t.Context(), command("", "echo again"), nil); err != nil || seen.Content != "again" {
					t.Errorf("reopened: %v, %v", seen, err)
				}
			})
		})
	}
}

func TestFatalFailureIsNotRetried(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.world.startErr = failure(sandbox.Unsupported, "world.Start", "a", "no such limit here")
		_, _, err := r.runtimes.Open(t.Context(), r.order("a"))
		expectCode(t, "Open", err, sandbox.Unsupported)
		r.expectHistory("spec BUILDING_RUNTIME STARTING_RUNTIME ERROR STOPPED")
		if r.world.starts != 1 {
			t.Errorf("%d starts", r.world.starts)
		}
	})
}

func TestQueue(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		running := start(s, command("x", "sleep 10s"))
		var waiting []*doing
		for _, id := range []string{"a", "b", "c"} {
			waiting = append(waiting, start(s, command(id, "echo "+id)))
		}
		_, err := s.Do(t.Context(), command("d", "echo d"), nil)
		expectCode(t, "one too many", err, sandbox.Exhausted)
		if st := r.state(s); st.Queued != 3 || st.Running != "x" {
			t.Errorf("state: %+v", st)
		}

		// Control messages are not behind the queue.
		if err := s.Interrupt(t.Context(), ""); err != nil {
			t.Error(err)
		}
		if got := r.world.box("a").signaled; len(got) != 1 || got[0] != "x" {
			t.Errorf("signaled: %v", got)
		}
		if err := s.Interrupt(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		if !waiting[1].finished() {
			t.Fatal("what was taken out of the queue is not answered")
		}
		expectCode(t, "what was taken out of the queue", waiting[1].err, sandbox.Canceled)
		expectCode(t, "interrupting nobody", s.Interrupt(t.Context(), "zzz"), sandbox.NotFound)

		// Who stops waiting does not stop the action.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Do(ctx, command("e", "echo e"), nil)
		expectCode(t, "a context that ends", err, sandbox.Canceled)

		time.Sleep(10 * time.Second)
		if !running.finished() || !waiting[0].finished() || !waiting[2].finished() {
			t.Error("somebody still waits")
		}
		if got := r.world.box("a").commands(); got != "sleep 10s; echo a; echo c; echo e" {
			t.Errorf("ran: %s", got)
		}
	})
}

func TestSameID(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		one := start(s, command("x", "sleep 10s"))
		two := start(s, command("x", "sleep 10s"))
		_, err := s.Do(t.Context(), command("x", "sleep 11s"), nil)
		expectCode(t, "another body, while it runs", err, sandbox.Conflict)
		time.Sleep(10 * time.Second)
		if !one.finished() || !two.finished() || one.err != nil || two.err != nil {
			t.Errorf("joined: %v, %v", one.err, two.err)
		}
		three := start(s, command("x", "sleep 10s"))
		if !three.finished() || three.err != nil {
			t.Errorf("asked again afterwards: %v", three.err)
		}
		_, err = s.Do(t.Context(), command("x", "true"), nil)
		expectCode(t, "another body, afterwards", err, sandbox.Conflict)
		if got := r.world.box("a").commands(); got != "sleep 10s" {
			t.Errorf("ran: %s", got)
		}
		_, err = s.Do(t.Context(), command("not an id", "true"), nil)
		expectCode(t, "a bad id", err, sandbox.Invalid)
		_, err = s.Do(t.Context(), sandbox.Action{}, nil)
		expectCode(t, "no arguments", err, sandbox.Invalid)
		r.expectHistory("spec " + broughtUp + " +x -x")
	})
}

func TestActionThatNoSandboxPerforms(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		seen, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.OtherArgs{Type: "think", Raw: []byte(`{"thought":"hm"}`)}}, nil)
		if err != nil || seen.Kind() != sandbox.KindNull {
			t.Errorf("%v, %v", seen, err)
		}
		r.expectHistory("spec " + broughtUp + " note")
		if got := r.world.box("a").commands(); got != "" {
			t.Errorf("ran: %s", got)
		}
	})
}

func TestOutputPanicsAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		seen, err := s.Do(t.Context(), command("", "echo hello"), func(int64, []byte) { panic("mine") })
		if err != nil || seen.Content != "hello" {
			t.Errorf("%v, %v", seen, err)
		}
		if st := r.state(s); st.Status != sandbox.StatusReady {
			t.Errorf("state: %+v", st)
		}
	})
}

func TestEgressChanges(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s, _, err := r.runtimes.Open(t.Context(), r.order("a"))
		if err != nil {
			t.Fatal(err)
		}
		for code, e := range map[sandbox.Code]sandbox.Egress{
			sandbox.Invalid: {Mode: "x"}, sandbox.Unsupported: {Mode: sandbox.EgressAllowAll}, "": {Mode: sandbox.EgressDenyAll},
		} {
			if got := sandbox.CodeOf(s.SetEgress(t.Context(), e)); got != code {
				t.Errorf("%+v: code %q, want %q", e, got, code)
			}
		}
		if e := r.world.box("a").egress; e.Mode != sandbox.EgressDenyAll {
			t.Errorf("the sandbox has %+v", e)
		}
		synctest.Wait()
		row, err := r.store.Runtime(t.Context(), "a")
		if err != nil || !strings.Contains(string(row.Spec), `"egress":{"mode":"deny-all"}`) { // and so is started again
			t.Errorf("stored is %s, %v", row.Spec, err)
		}
	})
}

func TestSecretsAreMaskedInWhatIsStored(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := r.order("a")
		o.Spec.Setup.Env = map[string]string{"TOKEN": "s3cret-value"}
		s, _, err := r.runtimes.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddEnv(t.Context(), map[string]string{"LATER": "an'other\nsecret"}); err != nil {
			t.Fatal(err)
		}
		seen, err := s.Do(t.Context(), command("x", "echo s3cret-value an'other\nsecret"), nil)
		if err != nil || !strings.Contains(seen.Content, "s3cret-value") {
			t.Errorf("what is seen is masked: %v, %v", seen, err)
		}
		if got := r.world.box("a").commands(); !strings.Contains(got, "TOKEN='s3cret-value'") || !strings.Contains(got, `LATER='an'\''other`+"\nsecret'") {
			t.Errorf("ran: %s", got)
		}
		synctest.Wait()
		masked := 0
		for _, rec := range r.store.recs {
			if strings.Contains(string(rec.Body), "s3cret") || strings.Contains(string(rec.Body), "other") {
				t.Errorf("stored: %s", rec.Body)
			}
			masked += strings.Count(string(rec.Body), hidden)
		}
		if masked != 10 { // two each in the command, the content, the command that the result repeats, and two messages
			t.Errorf("%d secrets were masked", masked)
		}
		// Asked again, it is recognised as the same.
		if _, err := s.Do(t.Context(), command("x", "echo s3cret-value an'other\nsecret"), nil); err != nil {
			t.Error(err)
		}
	})
}

// What is committed is on record when that is said, and whoever commits hears if it is not.
func TestCommit(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s := r.open("a")
		if err := s.Commit(t.Context(), "audit", []byte(`{"n":1}`), []byte(`{"n":2}`)); err != nil {
			t.Fatal(err)
		}
		r.expectHistory("spec " + broughtUp + " audit audit")
		r.store.mu.Lock()
		r.store.broken = errAny
		r.store.mu.Unlock()
		if err := s.Commit(t.Context(), "audit", []byte(`{"n":3}`)); !errors.Is(err, errAny) {
			t.Errorf("what the journal did not take: %v", err)
		}
		r.store.mu.Lock()
		r.store.broken = nil
		r.store.mu.Unlock()
		if err := s.Commit(t.Context(), "audit", []byte(`{"n":3}`)); err != nil {
			t.Error(err)
		}
		r.expectHistory("spec " + broughtUp + " audit audit audit")
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), "audit", []byte(`{"n":4}`)); sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Errorf("of one that is closed: %v", err)
		}
	})
}
