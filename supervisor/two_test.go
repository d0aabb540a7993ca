package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestMain lets this test binary be the other process of the tests below.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SUPERVISOR_TEST_HOLD"); dir != "" {
		os.Exit(hold(dir))
	}
	code := m.Run()
	for _, dir := range exampleDirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// hold drives the runtime "a" below dir until it is killed, and begins an action that outlives it.
func hold(dir string) int {
	t := &processT{}
	lease, err := time.ParseDuration(os.Getenv("SUPERVISOR_TEST_LEASE"))
	if err != nil {
		t.Fatal(err)
	}
	s := openSystem(t, dir, func(c *Config) { c.LeaseTTL = lease })
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	st, err := rt.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("holding", st.Epoch)
	_, err = rt.Do(context.Background(), sandbox.Action{ID: "long", Args: sandbox.RunArgs{Command: "echo begun >> count; sleep 2; echo done", Blocking: true}},
		func(int64, []byte) {})
	fmt.Println("did", sandbox.CodeOf(err))
	_, err = rt.Run(context.Background(), "true", nil)
	fmt.Println("then", sandbox.CodeOf(err))
	return 0
}

// processT is what helpers need of a testing.TB outside a test.
type processT struct{ testing.TB }

func (*processT) Helper()                  {}
func (*processT) Cleanup(func())           {}
func (*processT) Context() context.Context { return context.Background() }
func (*processT) Fatal(a ...any)           { fmt.Println(a...); os.Exit(1) }

// holder is another process that drives the runtime.
type holder struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startHolder(t *testing.T, dir string, lease time.Duration) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), "SUPERVISOR_TEST_HOLD="+dir, "SUPERVISOR_TEST_LEASE="+lease.String(), "SUPERVISOR_TEST_SANDBOXD="+sandboxdtest.Binary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	h := &holder{cmd, bufio.NewScanner(out)}
	h.expect(t, "holding 1")
	return h
}

func (h *holder) expect(t *testing.T, want string) {
	t.Helper()
	if !h.lines.Scan() || h.lines.Text() != want {
		t.Fatalf("the other process said %q, want %q", h.lines.Text(), want)
	}
}

// begun waits until the holder's action has begun: it is on record, and then the sandbox has done its first step.
func (h *holder) begun(t *testing.T, s *System) {
	t.Helper()
	defer func() {
		step := filepath.Join(s.cfg.StateDir, "local", "a", "workspace", "count")
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(step); err == nil || time.Now().After(deadline) {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for r, err := range s.Events(ctx, "a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == journal.TypeAction && r.ActionID == "long" {
			return
		}
	}
}

func TestSecondProcessTakesOverAfterTheFirstIsKilled(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	h := startHolder(t, dir, time.Hour)
	s := openSystem(t, dir, nil)
	h.begun(t, s)
	_, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
	expectCode(t, "while another process drives it", err, sandbox.Conflict)

	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait()
	// Its lease of an hour has ended with it.
	rt, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	// The action of the dead one is joined, whoever asks.
	seen, err := rt.Do(t.Context(), sandbox.Action{ID: "long", Args: sandbox.RunArgs{Command: "echo begun >> count; sleep 2; echo done", Blocking: true},
		Timeout: 10 * time.Minute}, nil)
	if err != nil || !strings.Contains(seen.Content, "done") {
		t.Errorf("the action of the dead one: %+v, %v", seen, err)
	}
	if got := run(t, rt, "cat count"); got != "begun" {
		t.Errorf("it was done more than once: %q", got)
	}
}

func TestProcessThatSleptIsFenced(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	h := startHolder(t, dir, 5*time.Second)
	s := openSystem(t, dir, nil)
	h.begun(t, s)
	stop(t, h, "STOP")
	rt, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
	for deadline := time.Now().Add(time.Minute); sandbox.CodeOf(err) == sandbox.Conflict && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond) // the lease has to lapse; nothing tells of that
		rt, err = s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, rt, "echo mine")
	stop(t, h, "CONT")
	h.expect(t, "did lost")
	h.expect(t, "then conflict")
	if _, err := s.journal.Append(t.Context(), "a", 1, journal.Record{Type: journal.TypeNote}); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("a late write of the old one: %v", err)
	}
	if got := run(t, rt, "cat count; echo still mine"); !strings.HasSuffix(got, "still mine") {
		t.Errorf("the new one: %q", got)
	}
}

func stop(t *testing.T, h *holder, signal string) {
	t.Helper()
	host(t, fmt.Sprintf("kill -%s %d", signal, h.cmd.Process.Pid))
}
