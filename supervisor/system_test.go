package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// stateDir is a directory with a path short enough for sockets below it, and ends what was left running there.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d, err := local.New(local.Config{StateDir: dir})
		if err != nil {
			t.Error(err)
			return
		}
		list, err := d.List(context.Background(), "")
		for _, l := range list {
			err = errors.Join(err, d.Remove(context.Background(), l.ID, backends.AnyEpoch, 0))
		}
		if err := errors.Join(err, d.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// watch gathers the changes that OnStatus hears of.
type watch struct {
	mu   sync.Mutex
	list []StatusChange
	news chan struct{} // has one when there is something new
}

func newWatch() *watch { return &watch{news: make(chan struct{}, 1)} }

func (w *watch) hear(c StatusChange) {
	w.mu.Lock()
	w.list = append(w.list, c)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// of lists the statuses that the runtime has gone through, an error with a restart to come as "recovering".
func (w *watch) of(id sandbox.ID) (words []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.list {
		if c.ID != id {
			continue
		}
		word := strings.TrimPrefix(string(c.State.Status), "STATUS$")
		if c.State.Recovering {
			word = "recovering"
		}
		words = append(words, word)
	}
	return words
}

// until waits until the runtime has gone through n of the given statuses.
func (w *watch) until(t testing.TB, id sandbox.ID, word string, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		have := 0
		for _, s := range w.of(id) {
			if s == word {
				have++
			}
		}
		if have >= n {
			return
		}
		select {
		case <-w.news:
		case <-limit:
			t.Fatalf("%s: %d times %s in %v, want %d", id, have, word, w.of(id), n)
		}
	}
}

// quick is a Restart that does not keep tests waiting.
var quick = Restart{Intensity: 3, Window: time.Minute, Base: time.Millisecond, Cap: 10 * time.Millisecond}

func openSystem(t testing.TB, dir string, more func(*Config)) *System {
	t.Helper()
	program := os.Getenv("SUPERVISOR_TEST_SANDBOXD") // in the other process
	if program == "" {
		program = sandboxdtest.Binary(t)
	}
	d, err := local.New(local.Config{StateDir: dir, Sandboxd: program, Environ: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": d}, Restart: quick, LeaseTTL: time.Second, Grace: time.Second}
	if more != nil {
		more(&c)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openRuntime(t testing.TB, s *System, spec sandbox.Spec) *Runtime {
	t.Helper()
	rt, err := s.Runtime(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// run runs a command and wants it to succeed.
func run(t testing.TB, rt *Runtime, command string) string {
	t.Helper()
	seen, err := rt.Run(t.Context(), command, nil)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	r, ok := seen.Result.(sandbox.RunResult)
	if !ok || r.Metadata.ExitCode != 0 {
		t.Fatalf("%s: %+v", command, seen)
	}
	return strings.TrimSpace(seen.Content)
}

func expectCode(t testing.TB, what string, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("%s: code %q, want %q (%v)", what, got, want, err)
	}
}

func TestLifeOfARuntime(t *testing.T) {
	leak.Check(t)
	dir, w := stateDir(t), newWatch()
	s := openSystem(t, dir, func(c *Config) { c.OnStatus = w.hear })
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	var shown strings.Builder
	seen, err := rt.Run(t.Context(), "echo hello; X=1", func(_ int64, p []byte) { shown.Write(p) })
	if err != nil || !strings.HasPrefix(seen.Content, "hello") || !strings.Contains(shown.String(), "hello") {
		t.Errorf("%+v, %v; shown %q", seen, err, shown.String())
	}
	if err := rt.Put(t.Context(), "dir/file", strings.NewReader("content")); err != nil {
		t.Error(err)
	}
	if got := run(t, rt, "cat dir/file; echo $X"); got != "content1" {
		t.Errorf("the shell sees %q", got)
	}
	if err := rt.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := rt.Report(t.Context(), sandbox.StatusLLMOutOfCredits, "no money"); err != nil {
		t.Error(err)
	}
	if err := rt.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a", "STOPPED", 1)
	want := "BUILDING_RUNTIME STARTING_RUNTIME RUNTIME_STARTED SETTING_UP_WORKSPACE SETTING_UP_GIT_HOOKS READY ERROR_LLM_OUT_OF_CREDITS STOPPED"
	if got := strings.Join(w.of("a"), " "); got != want {
		t.Errorf("statuses: %s", got)
	}
	expectEvents(t, s, "a", "spec "+strings.Repeat("status ", 6)+"action observation action observation status status")

	// It was left running, with its shell.
	rt = openRuntime(t, s, sandbox.Spec{ID: "a"})
	if got := run(t, rt, "echo $X"); got != "1" {
		t.Errorf("after an attach X is %q", got)
	}
	if err := rt.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || list[0].Alive {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	expectCode(t, "removing it again", s.Remove(t.Context(), "a"), sandbox.NotFound)
}

// expectEvents compares the types of the events on record, and sees that their numbers have no gap.
func expectEvents(t testing.TB, s *System, id sandbox.ID, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var types []string
	n := len(strings.Fields(want))
	for r, err := range s.Events(ctx, id, 0) {
		if err != nil {
			t.Fatalf("events: %v; have %v", err, types)
		}
		if r.Seq != uint64(len(types)+1) {
			t.Fatalf("event %d has the number %d", len(types)+1, r.Seq)
		}
		if types = append(types, r.Type); len(types) == n {
			break
		}
	}
	if got := strings.Join(types, " "); got != want {
		t.Errorf("events: %s\nwant:   %s", got, want)
	}
}

func TestSandboxKilledUnderAnAction(t *testing.T) {
	leak.Check(t)
	w := newWatch()
	s := openSystem(t, stateDir(t), func(c *Config) { c.OnStatus = w.hear })
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", Setup: sandbox.Setup{Env: map[string]string{"FROM": "setup's \"$HOME\"\nline"}}})
	if err := rt.AddEnv(t.Context(), map[string]string{"LATER": "added"}); err != nil {
		t.Fatal(err)
	}
	run(t, rt, "echo kept > file")
	act := sandbox.Action{ID: "the-kill", Args: sandbox.RunArgs{Command: "kill -9 $SANDBOXD_PID; sleep 100; echo late >> file", Blocking: true}}
	seen, err := rt.Do(t.Context(), act, nil)
	if err != nil || !seen.Interrupted() {
		t.Fatalf("the action in flight: %+v, %v", seen, err)
	}
	if again, err := rt.Do(t.Context(), act, nil); err != nil || !again.Interrupted() {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if got := run(t, rt, `cat file; printf %s "$FROM$LATER" | base64 -w0`); got != "kept\r\nc2V0dXAncyAiJEhPTUUiCmxpbmVhZGRlZA==" && got != "kept\nc2V0dXAncyAiJEhPTUUiCmxpbmVhZGRlZA==" {
		t.Errorf("after the restart: %q", got)
	}
	want := "READY recovering STARTING_RUNTIME RUNTIME_STARTED SETTING_UP_WORKSPACE SETTING_UP_GIT_HOOKS READY"
	if got := strings.Join(w.of("a"), " "); !strings.HasSuffix(got, want) {
		t.Errorf("statuses: %s", got)
	}
}

// TestVariablesInLaterShells looks whether what the set-up exports is there in the shell that follows an exit.
func TestVariablesInLaterShells(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", Env: map[string]string{"A": "1"}, Setup: sandbox.Setup{Env: map[string]string{"B": "2"}}})
	if err := rt.AddEnv(t.Context(), map[string]string{"C": "3"}); err != nil {
		t.Fatal(err)
	}
	if got := run(t, rt, "echo $A$B$C"); got != "123" {
		t.Errorf("at first: %q", got)
	}
	if _, err := rt.Run(t.Context(), "exit", nil); err != nil {
		t.Fatal(err)
	}
	if got := run(t, rt, "echo $A$B$C"); got != "123" {
		t.Errorf("after exit: %q", got)
	}
}

func TestRestartsSpentAndReopened(t *testing.T) {
	leak.Check(t)
	w := newWatch()
	s := openSystem(t, stateDir(t), func(c *Config) { c.OnStatus = w.hear })
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	sibling := openRuntime(t, s, sandbox.Spec{ID: "b"})
	done := make(chan error, 1)
	go func() {
		_, err := sibling.Run(context.Background(), "sleep 1; echo fine", nil)
		done <- err
	}()
	for i := range quick.Intensity + 1 {
		if _, err := rt.Run(t.Context(), "kill -9 $SANDBOXD_PID", nil); err != nil && i < quick.Intensity {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	w.until(t, "a", "STOPPED", 1)
	if got := strings.Join(w.of("a"), " "); !strings.HasSuffix(got, "READY ERROR STOPPED") || strings.Count(got, "recovering") != quick.Intensity {
		t.Errorf("statuses: %s", got)
	}
	st, err := rt.State(t.Context())
	if e, ok := errors.AsType[*actors.ExitError](st.Cause); err != nil || !ok || e.Exit.Signal != 9 {
		t.Errorf("the cause: %v, %v", st.Cause, err)
	}
	_, err = rt.Run(t.Context(), "true", nil)
	expectCode(t, "an action of a stopped runtime", err, sandbox.Unavailable)
	if _, err := rt.Reopen(t.Context()); err != nil {
		t.Fatalf("reopen: %v", err)
	}
	if got := run(t, rt, "echo again"); got != "again" {
		t.Errorf("reopened: %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("the sibling: %v", err)
	}
	if got := w.of("b"); len(got) != 6 {
		t.Errorf("the sibling went through %v", got)
	}
}

func TestRepositoryIsClonedAndSetUp(t *testing.T) {
	leak.Check(t)
	origin := filepath.Join(t.TempDir(), "it's a repository.git")
	host(t, fmt.Sprintf(`set -e; export HOME=/nonexistent GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
		git init -q -b main %[1]s && cd %[1]s && mkdir .openhands
		printf 'export SET=up; ran() { echo ran; }; touch was-here' > .openhands/setup.sh
		printf 'echo checked; test ! -e forbidden' > .openhands/pre-commit.sh
		git add . && git commit -qm first && git checkout -qb "odd'branch"`, shell(origin)))
	s := openSystem(t, stateDir(t), nil)
	spec := sandbox.Spec{ID: "a", Setup: sandbox.Setup{Repository: origin, Branch: "odd'branch", GitUser: "Some One", GitEmail: "one@example.org"}}
	rt := openRuntime(t, s, spec)
	if got := run(t, rt, `cd "it's a repository" && git branch --show-current; echo $SET; ran; ls was-here`); strings.ReplaceAll(got, "\r", "") != "odd'branch\nup\nran\nwas-here" {
		t.Errorf("after the set-up: %q", got)
	}
	if got := run(t, rt, `git commit -q --allow-empty -m second 2>&1 && git log -1 --format=%an/%ae`); !strings.Contains(got, "checked") || !strings.Contains(got, "Some One/one@example.org") {
		t.Errorf("a commit: %q", got)
	}
	if got := run(t, rt, `touch forbidden; git commit -q --allow-empty -m third; echo $?`); !strings.HasSuffix(got, "1") {
		t.Errorf("the hook refuses nothing: %q", got)
	}
	spec.ID = "b"
	spec.Setup.Branch = "no such branch"
	_, err := s.Runtime(t.Context(), spec)
	e, ok := errors.AsType[*actors.SetupError](err)
	if sandbox.CodeOf(err) != sandbox.Invalid || !ok || e.Step != "clone" || e.ExitCode != 128 || !strings.Contains(e.Output, "no such branch") {
		t.Errorf("a clone that fails: %v", err)
	}
	bad, err := s.Find(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := bad.State(t.Context()); err != nil || st.Status != sandbox.StatusStopped || st.Cause == nil {
		t.Errorf("the runtime whose set-up failed: %+v, %v", st, err)
	}
}

func TestEventsHideSecrets(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	const secret = "correct horse 'battery'"
	rt := openRuntime(t, s, sandbox.Spec{ID: "a", Setup: sandbox.Setup{Env: map[string]string{"SECRET": secret}}})
	if got := run(t, rt, `echo "$SECRET"`); got != secret {
		t.Errorf("what is executed: %q", got)
	}
	for r, err := range s.Events(t.Context(), "a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(r.Body), "horse") {
			t.Errorf("on record: %s", r.Body)
		}
		if r.Type == journal.TypeObservation {
			if !strings.Contains(string(r.Body), "<secret_hidden>") {
				t.Errorf("on record: %s", r.Body)
			}
			break
		}
	}
}
