package docker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
)

// privateConfig is testConfig with an engine that the test may end.
func privateConfig(t *testing.T) (Config, *dockerd.Engine) {
	t.Helper()
	e := dockerd.Private(t)
	c := testConfig(t)
	c.Host = e.Host()
	dockerd.MakeImages(t, c.Host)
	return c, e
}

// TestContainerKilled ends a container in all the ways that others than its driver have.
func TestContainerKilled(t *testing.T) {
	dockerd.Host(t)
	leak.Check(t)
	c := testConfig(t)
	d, b := opened(t, c)
	for name, test := range map[string]struct {
		end  func(id string) error
		want sandbox.Exit
	}{
		"killed":  {func(id string) error { return d.engine.ContainerKill(t.Context(), id, "KILL") }, sandbox.Exit{Code: -1, Signal: 9}},
		"stopped": {func(id string) error { return d.engine.ContainerStop(t.Context(), id, container.StopOptions{}) }, sandbox.Exit{}},
		"removed": {func(id string) error {
			return d.engine.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true})
		}, sandbox.Exit{Code: -1, Signal: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			s, i := started(t, b, sandbox.Spec{ID: sandbox.ID(name), Epoch: 1})
			run(t, s, "echo kept >file")
			if err := test.end(i.container.id); err != nil {
				t.Fatal(err)
			}
			if exit := ends(t, s); exit != test.want {
				t.Errorf("Wait says %+v, want %+v", exit, test.want)
			}
			s, _ = started(t, b, sandbox.Spec{ID: sandbox.ID(name), Epoch: 2})
			prints(t, s, "cat file", "kept")
			// By another's hand it is started again at once: this run has ended all the same.
			if err := d.engine.ContainerKill(t.Context(), s.Instance().(*instance).container.id, "KILL"); err != nil {
				t.Fatal(err)
			}
			ends(t, s)
			if err := s.Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	_, b := opened(t, testConfig(t))
	s, _ := started(t, b, sandbox.Spec{ID: "memory", Limits: sandbox.Limits{Memory: 64 << 20}})
	got, _ := run(t, s, "python3 -c 'a = bytearray(1 << 30)'; echo code $?")
	if !strings.Contains(got, "code 137") {
		t.Errorf("1 GB where 64 MB may be: %q", got)
	}
	prints(t, s, "echo alive", "alive") // the server is not what the kernel takes

	// Where it is all the same, its end says so.
	s, _ = started(t, b, sandbox.Spec{ID: "tiny", Limits: sandbox.Limits{Memory: 48 << 20}})
	ctx, cancel := context.WithCancel(t.Context())
	var doing sync.WaitGroup
	defer doing.Wait()
	defer cancel()
	doing.Go(func() {
		s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: ": " + strings.Repeat("x", 48<<20)}}, nil)
	})
	if exit := ends(t, s); !exit.Memory || exit.Signal != 9 {
		t.Errorf("Wait says %+v", exit)
	}
}

// TestLimitsChange revives a sandbox with other limits.
func TestLimitsChange(t *testing.T) {
	d, b := opened(t, testConfig(t))
	_, i := started(t, b, sandbox.Spec{ID: "limits", Limits: sandbox.Limits{Memory: 64 << 20, Processes: 50}})
	if err := i.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, i = started(t, b, sandbox.Spec{ID: "limits", Limits: sandbox.Limits{Memory: 128 << 20, Processes: 60, CPU: 0.25}})
	r := must(d.engine.ContainerInspect(t.Context(), i.container.id)).HostConfig.Resources
	if r.Memory != 128<<20 || *r.PidsLimit != 60+serverThreads || r.NanoCPUs != 250_000_000 {
		t.Errorf("%+v", r)
	}
}

func TestPause(t *testing.T) {
	c := testConfig(t)
	d, b := opened(t, c)
	s, i := started(t, b, sandbox.Spec{ID: "pause", Epoch: 1})
	group, ok := d.freezer(i.container.id, i.pid)
	if !ok {
		t.Fatal("no freezer")
	}
	isFrozen := func() bool { return frozen(group.Dir(cgroup.Freezer)) }
	for range 3 {
		begun := time.Now()
		for range 2 { // the second changes nothing
			if err := i.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !isFrozen() {
			t.Error("it is not frozen")
		}
		for range 2 {
			if err := i.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("paused and resumed twice in %v", time.Since(begun))
	}
	prints(t, s, "echo alive", "alive")
	for name, pause := range map[string]func() error{
		"directly":      func() error { return i.Pause(t.Context()) },
		"by the engine": func() error { return d.engine.ContainerPause(t.Context(), i.container.id) },
	} {
		if err := pause(); err != nil {
			t.Fatal(err)
		}
		again, err := b.Attach(t.Context(), "pause", 1)
		if err != nil {
			t.Fatal(err)
		}
		prints(t, again, "echo "+name, name)
		again.Close()
	}
	if err := i.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context(), time.Minute); err != nil { // it can end as if it had not been paused
		t.Error(err)
	}
	if exit := ends(t, s); exit != (sandbox.Exit{}) {
		t.Errorf("%+v", exit)
	}
	if err := i.Pause(t.Context()); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("Pause of what has ended: %v", err)
	}
}

// TestEngineRestarted stops and kills the engine under sandboxes.
func TestEngineRestarted(t *testing.T) {
	c, e := privateConfig(t)
	_, b := opened(t, c)
	for name, end := range map[string]func(){"stopped": e.Stop, "killed": e.Kill} {
		t.Run(name, func(t *testing.T) {
			s, _ := started(t, b, sandbox.Spec{ID: sandbox.ID(name), Epoch: 1})
			run(t, s, "echo kept >file")
			end()
			short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := b.List(short, ""); sandbox.CodeOf(err) == "" {
				t.Error("there are sandboxes without an engine")
			}
			if err := e.Start(); err != nil {
				t.Fatal(err)
			}
			ends(t, s) // neither way containers outlive an engine that does not keep them
			s, _ = started(t, b, sandbox.Spec{ID: sandbox.ID(name), Epoch: 2})
			prints(t, s, "cat file", "kept")
			if err := s.Stop(t.Context(), time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNoEngine has an engine that does not answer.
func TestNoEngine(t *testing.T) {
	leak.Check(t)
	d, err := New(Config{StateDir: t.TempDir(), Host: "unix://" + filepath.Join(t.TempDir(), "none"), Sandboxd: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Start(t.Context(), sandbox.Spec{ID: "x"})
	for what, err := range map[string]error{"Start": err, "Check": d.Check(t.Context())} {
		if sandbox.CodeOf(err) != sandbox.Unavailable || !strings.Contains(err.Error(), "is it running") {
			t.Errorf("%s: code %q: %v", what, sandbox.CodeOf(err), err)
		}
	}
	if _, err := d.Attach(t.Context(), "x"); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("Attach: %v", err)
	}
	if got := d.Enforces(); len(got) == 0 {
		t.Error("it enforces nothing")
	}
	if left, _ := os.ReadDir(d.root); len(left) > 1 {
		t.Errorf("left: %v", left)
	}
	var _ backends.Driver = d
}

// TestHeldOnce has many who ask for the same container.
func TestHeldOnce(t *testing.T) {
	d, b := opened(t, testConfig(t))
	s, _ := started(t, b, sandbox.Spec{ID: "once"})
	for range 5 {
		again, err := b.Attach(t.Context(), "once", 0)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	}
	d.watch.mu.Lock()
	n := len(d.watch.held)
	d.watch.mu.Unlock()
	if n != 1 {
		t.Errorf("one container is held %d times", n)
	}
	if err := s.Stop(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	d.watch.mu.Lock()
	defer d.watch.mu.Unlock()
	if n := len(d.watch.held); n != 0 {
		t.Errorf("after its end it is held %d times", n)
	}
}
