// Package drivertest is the contract of backends.Driver as a suite of tests, for the drivers of this repository and for
// those that others bring.
//
// A driver's own test calls Run, against a fake of its infrastructure and against the real thing where there is one.
// What only some can do is tested where the driver has the interface for it; whether processes are left over, where the
// sandbox shares this machine's process numbers; what becomes of a workspace, where this machine sees it.
package drivertest

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/runtimetest"
)

// A Place makes room for sandboxes of which no other test knows, and returns what opens a driver on it. Each driver
// that open gives is to the others like another process: they see the same sandboxes and share no memory. The suite
// closes those that can be closed.
type Place func(t *testing.T) (open func() backends.Driver)

// Run tests a driver, but for the cases of the names in without.
func Run(t *testing.T, place Place, without ...string) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, w *world)
	}{
		{"Start", testStart},
		{"StartTwice", testStartTwice},
		{"StartAtOnce", testStartAtOnce},
		{"StartCanceled", testStartCanceled},
		{"Environment", testEnvironment},
		{"Refused", testRefused},
		{"Limits", testLimits},
		{"Epoch", testEpoch},
		{"Attach", testAttach},
		{"WholeNames", testWholeNames},
		{"Wait", testWait},
		{"StopLeavesNothing", testStopLeavesNothing},
		{"StopCanceled", testStopCanceled},
		{"Workspace", testWorkspace},
		{"Killed", testKilled},
		{"KilledThenStopped", testKilledThenStopped},
		{"KilledThenRemoved", testKilledThenRemoved},
		{"Hung", testHung},
		{"Ledger", testLedger},
		{"Snapshot", testSnapshot},
		{"Restore", testRestore},
		{"SnapshotBusy", testSnapshotBusy},
		{"SnapshotNamed", testSnapshotNamed},
		{"Archive", testArchive},
	} {
		if !slices.Contains(without, c.name) {
			t.Run(c.name, func(t *testing.T) { c.test(t, newWorld(t, place)) })
		}
	}
	t.Run("Runtime", func(t *testing.T) {
		runtimetest.Run(t, func(t *testing.T) sandbox.Runtime {
			w := newWorld(t, place)
			return w.start(w.open(), sandbox.Spec{ID: "runtime"})
		})
	})
}

// patience is how long a test waits for what an event should bring at once; a container engine may take seconds.
const patience = 30 * time.Second

// grace is what sandboxes that are stopped get; a server with nothing to do uses milliseconds of it.
const grace = 5 * time.Second

// world is a place and the drivers that one test has opened on it.
type world struct {
	t    *testing.T
	into func() backends.Driver
}

func newWorld(t *testing.T, place Place) *world { return &world{t: t, into: place(t)} }

// open opens a driver as another process would. What is left when the test ends is removed through it.
func (w *world) open() *backends.Backend {
	w.t.Helper()
	b := backends.Open("test", w.into(), backends.Config{})
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left, err := b.List(ctx, "")
		if err != nil {
			w.t.Errorf("List: %v", err)
		}
		for _, l := range left {
			if err := b.Remove(ctx, l.ID, backends.AnyEpoch, 0); err != nil {
				w.t.Errorf("Remove %s: %v", l.ID, err)
			}
		}
		if err := b.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	return b
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

// context2 is for what is done when the test has ended.
func (w *world) context2() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) start(b *backends.Backend, spec sandbox.Spec) *backends.Sandbox {
	w.t.Helper()
	s, err := b.Start(w.context(), spec)
	if err != nil {
		w.t.Fatalf("Start: %v", err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) attach(b *backends.Backend, id sandbox.ID, epoch uint64) *backends.Sandbox {
	w.t.Helper()
	s, err := b.Attach(w.context(), id, epoch)
	if err != nil {
		w.t.Fatalf("Attach: %v", err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) stop(s *backends.Sandbox) {
	w.t.Helper()
	if err := s.Stop(w.context(), grace); err != nil {
		w.t.Fatalf("Stop: %v", err)
	}
}

// run runs a command that must succeed, and returns what it printed.
func (w *world) run(s *backends.Sandbox, command string) string {
	w.t.Helper()
	o, err := s.Do(w.context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	if r, ok := o.Result.(sandbox.RunResult); !ok || r.Metadata.ExitCode != 0 {
		w.t.Fatalf("%s: %+v", command, o)
	}
	return strings.TrimSpace(o.Content)
}

// kill ends the sandbox's server by SIGKILL, from inside if it can be, and waits until that is seen.
func (w *world) kill(s *backends.Sandbox) sandbox.Exit {
	w.t.Helper()
	if pid := w.server(s); pid > 0 {
		w.signal(pid, syscall.SIGKILL)
		return w.wait(s)
	}
	return w.lastAction(s, sandbox.Action{Args: sandbox.RunArgs{Command: "kill -9 $SANDBOXD_PID"}}, nil)
}

// lastAction does what ends the sandbox, with the help of seen, which is called with its output; and returns how it is
// seen that the sandbox has ended.
func (w *world) lastAction(s *backends.Sandbox, a sandbox.Action, seen sandbox.Output) sandbox.Exit {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.context())
	var doing sync.WaitGroup
	doing.Go(func() { s.Do(ctx, a, seen) }) // its answer cannot come, and the client may try for long to get it
	defer doing.Wait()
	defer cancel()
	return w.wait(s)
}

func (w *world) wait(s *backends.Sandbox) sandbox.Exit {
	w.t.Helper()
	exit, err := s.Wait(w.context())
	if err != nil {
		w.t.Fatalf("Wait: %v", err)
	}
	return exit
}

func (w *world) list(b *backends.Backend, owner string) map[sandbox.ID]backends.Listed {
	w.t.Helper()
	all, err := b.List(w.context(), owner)
	if err != nil {
		w.t.Fatalf("List: %v", err)
	}
	m := map[sandbox.ID]backends.Listed{}
	for _, l := range all {
		if _, twice := m[l.ID]; twice {
			w.t.Errorf("%s is listed twice", l.ID)
		}
		m[l.ID] = l
	}
	return m
}

func (w *world) wantCode(what string, err error, codes ...sandbox.Code) {
	w.t.Helper()
	if !slices.Contains(codes, sandbox.CodeOf(err)) {
		w.t.Errorf("%s: code %q, want %q: %v", what, sandbox.CodeOf(err), codes, err)
	}
}

// wantNone says that nothing is left of id.
func (w *world) wantNone(b *backends.Backend, id sandbox.ID) {
	w.t.Helper()
	if l, ok := w.list(b, "")[id]; ok {
		w.t.Errorf("%s is still listed: %+v", id, l)
	}
	_, err := b.Attach(w.context(), id, 1<<40)
	w.wantCode("Attach "+string(id), err, sandbox.NotFound)
}

// shared says whether the process numbers in s are this machine's.
func (w *world) shared(s *backends.Sandbox) bool {
	here, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && w.run(s, "readlink /proc/self/ns/pid") == here &&
		w.run(s, "cat /proc/sys/kernel/random/boot_id") == bootID()
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
