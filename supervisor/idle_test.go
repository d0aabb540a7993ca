package supervisor

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// soon is a time after which nobody uses a sandbox that the test has just used, however busy the machine.
const soon = 50 * time.Millisecond

// rests waits until a runtime has come to rest n times in that way.
func (w *watch) rests(t testing.TB, id sandbox.ID, how Rest, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		have := 0
		w.mu.Lock()
		for _, c := range w.list {
			if c.ID == id && c.State.Idle == how {
				have++
			}
		}
		w.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-w.news:
		case <-limit:
			t.Fatalf("it has been %s %d times, want %d: %v", how, have, n, w.of(id))
		}
	}
}

// TestIdleStop has sandboxes stopped that nobody uses; what was in their workspaces is there when they are used again.
func TestIdleStop(t *testing.T) {
	leak.Check(t)
	dir, w := stateDir(t), newWatch()
	s := openSystem(t, dir, func(c *Config) { c.OnStatus, c.Idle = w.hear, Idle{StopAfter: soon} })
	_, err := s.Runtime(t.Context(), sandbox.Spec{ID: "b", Idle: Idle{PauseAfter: time.Hour, StopAfter: -1}})
	expectCode(t, "a pause of plain processes", err, sandbox.Unsupported)
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", Env: map[string]string{"OF": "a"}})
	for n := range 3 {
		w.rests(t, "a", Halted, n+1)
		if got := run(t, rt, "echo x >>kept; wc -l <kept; echo $OF"); got != string(rune('1'+n))+"\na" {
			t.Errorf("after stop %d it says %q", n+1, got)
		}
	}
	w.rests(t, "a", Halted, 4)
	var content strings.Builder
	if err := rt.Get(t.Context(), "kept", &content); err != nil || content.String() != "x\nx\nx\n" {
		t.Errorf("it has %q, %v", content.String(), err)
	}
	w.rests(t, "a", Halted, 5)
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || list[0].Alive {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if err := rt.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestIdlePause has a jail paused, with a program in the background, which neither keeps it from that nor minds.
func TestIdlePause(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	leak.Check(t)
	dir, w := stateDir(t), newWatch()
	s := openSystem(t, dir, func(c *Config) {
		d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t)})
		if err != nil {
			t.Fatal(err)
		}
		c.Drivers["jail"], c.Default, c.OnStatus, c.Idle = d, "jail", w.hear, Idle{PauseAfter: soon}
	})
	if err := s.backends["jail"].CheckIdle(sandbox.Spec{}, s.cfg.Idle); err != nil {
		t.Skip(err)
	}
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", OrphanAfter: 2 * time.Second})
	run(t, rt, "(while :; do echo x >>/workspace/ticks; sleep 0.02; done) & X=1; cd /tmp")
	ticks := filepath.Join(dir, "jail/a/workspace/ticks")
	for n := range 3 {
		w.rests(t, "a", Paused, n+1)
		before, err := os.Stat(ticks)
		if n == 0 {
			time.Sleep(4 * time.Second) // longer than it would live without a word from us
		}
		after, err2 := os.Stat(ticks)
		if err != nil || err2 != nil || before.Size() != after.Size() {
			t.Errorf("it went on while it was paused: %v, %v; %v, %v", before, after, err, err2)
		}
		if got := run(t, rt, "jobs -rp | wc -l; echo $X; pwd"); got != "1\n1\n/tmp" {
			t.Errorf("after pause %d it says %q", n+1, got)
		}
	}
	w.rests(t, "a", Paused, 4)
	term, err := rt.Terminal(t.Context(), 80, 24)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // it is held longer than it would need to fall asleep
		time.Sleep(soon)
		if st, err := rt.State(t.Context()); err != nil || st.Idle != "" {
			t.Errorf("it is %q under a terminal, %v", st.Idle, err)
		}
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
	w.rests(t, "a", Paused, 5)

	// Who lets go of a paused sandbox lets it go on.
	if err := rt.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := backends.Open("jail", again(t, dir), backends.Config{})
	defer b.Close()
	there, err := b.Attach(t.Context(), "a", 100)
	if err != nil {
		t.Fatalf("the next one finds %v", err)
	}
	var seen strings.Builder
	if err := there.Get(t.Context(), "ticks", &seen); err != nil && err != io.EOF || seen.Len() == 0 {
		t.Errorf("it has %d ticks, %v", seen.Len(), err)
	}
	if err := there.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

func again(t *testing.T, dir string) backends.Driver {
	t.Helper()
	d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
