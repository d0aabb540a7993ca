package backends_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

func failure(code sandbox.Code) error {
	return &sandbox.Error{Code: code, Err: errors.New("the cloud says no")}
}

func wantCalls(t *testing.T, c *cloud, want ...string) {
	t.Helper()
	if !slices.Equal(c.calls, want) {
		t.Errorf("the driver was asked for %v, want %v", c.calls, want)
	}
}

func TestStartRetries(t *testing.T) {
	for _, test := range []struct {
		name  string
		fail  []error
		code  sandbox.Code
		calls int
	}{
		{"at once", nil, "", 1},
		{"unavailable", []error{failure(sandbox.Unavailable)}, "", 2},
		{"exhausted", []error{failure(sandbox.Exhausted), failure(sandbox.Exhausted), failure(sandbox.Exhausted)}, "", 4},
		{"lost", []error{failure(sandbox.Lost)}, "", 2},
		{"one too many", slices.Repeat([]error{failure(sandbox.Unavailable)}, 4), sandbox.Unavailable, 4},
		{"invalid", []error{failure(sandbox.Invalid)}, sandbox.Invalid, 1},
		{"conflict", []error{failure(sandbox.Conflict)}, sandbox.Conflict, 1},
		{"denied", []error{failure(sandbox.Denied)}, sandbox.Denied, 1},
		{"not ours", []error{errors.New("what is this")}, sandbox.Internal, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				c := newCloud(t)
				c.fail = test.fail
				b := backends.Open("cloud", c, backends.Config{})
				s, err := b.Start(t.Context(), sandbox.Spec{ID: "x"})
				if got := sandbox.CodeOf(err); got != test.code {
					t.Errorf("code %q, want %q: %v", got, test.code, err)
				}
				if err == nil {
					defer s.Close()
				} else if !strings.HasPrefix(err.Error(), "cloud.Start: x: ") {
					t.Errorf("the error does not say what failed where: %v", err)
				}
				wantCalls(t, c, slices.Repeat([]string{"Start"}, test.calls)...)
			})
		})
	}
}

func TestStartThatIsNeverReady(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(*cloud)
		code  sandbox.Code
		calls []string
	}{
		// What this start made is ended; what was there is halted, so that the next attempt revives it.
		{"fresh", func(c *cloud) { c.answers = false }, sandbox.Unavailable, []string{"Start", "Stop", "Start", "Stop"}},
		{"found", func(c *cloud) { c.answers, c.fresh = false, false }, sandbox.Unavailable, []string{"Start", "Halt", "Start", "Halt"}},
		{"exits", func(c *cloud) { c.answers, c.exits = false, true }, sandbox.Unavailable, []string{"Start", "Stop", "Start", "Stop"}},
		// A newer activation drives it: nothing of it is touched.
		{"fenced", func(c *cloud) { c.status, c.fresh = 409, false }, sandbox.Conflict, []string{"Start"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				c := newCloud(t)
				test.set(c)
				b := backends.Open("cloud", c, backends.Config{Attempts: 2})
				begun := time.Now()
				_, err := b.Start(t.Context(), sandbox.Spec{ID: "x", Epoch: 1})
				if got := sandbox.CodeOf(err); got != test.code {
					t.Errorf("code %q, want %q: %v", got, test.code, err)
				}
				wantCalls(t, c, test.calls...)
				if took := time.Since(begun); c.exits && took > time.Second {
					t.Errorf("it waited %v for what had ended", took)
				}
			})
		})
	}
}

func TestStartCanceled(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.answers = false
		b := backends.Open("cloud", c, backends.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := b.Start(ctx, sandbox.Spec{ID: "x"})
		if got := sandbox.CodeOf(err); got != sandbox.Canceled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("code %q: %v", got, err)
		}
		wantCalls(t, c, "Start", "Stop")
	})
	synctest.Test(t, func(t *testing.T) { // between two attempts
		c := newCloud(t)
		c.fail = slices.Repeat([]error{failure(sandbox.Exhausted)}, 99)
		b := backends.Open("cloud", c, backends.Config{Attempts: 99})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := b.Start(ctx, sandbox.Spec{ID: "x"})
		if got := sandbox.CodeOf(err); got != sandbox.Canceled {
			t.Errorf("code %q: %v", got, err)
		}
		if n := len(c.calls); n < 12 || n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

func TestRefusedBeforeTheDriver(t *testing.T) {
	c := newCloud(t)
	c.enforces = []string{backends.LimitCPU}
	b := backends.Open("cloud", c, backends.Config{})
	for _, test := range []struct {
		spec sandbox.Spec
		code sandbox.Code
		text string
	}{
		{sandbox.Spec{ID: "../x"}, sandbox.Invalid, `"../x"`},
		{sandbox.Spec{ID: "x", Env: map[string]string{"a b": ""}}, sandbox.Invalid, "spec.env"},
		{sandbox.Spec{ID: "x", Limits: sandbox.Limits{Memory: 1}}, sandbox.Unsupported, "limits.memory"},
		{sandbox.Spec{ID: "x", Limits: sandbox.Limits{CPU: 1, Disk: 1}}, sandbox.Unsupported, "limits.disk"},
	} {
		_, err := b.Start(t.Context(), test.spec)
		if got := sandbox.CodeOf(err); got != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: code %q, want %q: %v", test.spec, got, test.code, err)
		}
		if got := sandbox.CodeOf(b.Supports(test.spec)); got != test.code {
			t.Errorf("Supports: code %q, want %q", got, test.code)
		}
	}
	for _, id := range []sandbox.ID{"", "..", "a/b"} {
		if _, err := b.Attach(t.Context(), id, 0); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("Attach %q: %v", id, err)
		}
		if err := b.Remove(t.Context(), id, backends.AnyEpoch, 0); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("Remove %q: %v", id, err)
		}
	}
	wantCalls(t, c)
	if err := b.Supports(sandbox.Spec{ID: "x", Limits: sandbox.Limits{CPU: 2, Memory: -1, ActionTimeout: time.Hour}}); err != nil {
		t.Errorf("what is enforced, lifted or not the driver's: %v", err)
	}
}

func TestUnenforced(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.enforces = []string{backends.LimitCPU, backends.LimitProcesses}
		b := backends.Open("cloud", c, backends.Config{})
		s, err := b.Start(t.Context(), sandbox.Spec{ID: "x", Limits: sandbox.Limits{Memory: -1}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got, want := s.Unenforced(), []string{"swap", "disk", "network", "connections", "egress"}; !slices.Equal(got, want) {
			t.Errorf("not enforced are %v, want %v", got, want)
		}
	})
}

func TestAttachAndRemove(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		c := newCloud(t)
		b := backends.Open("cloud", c, backends.Config{})
		_, err := b.Attach(t.Context(), "x", 1)
		if sandbox.CodeOf(err) != sandbox.NotFound || !strings.HasPrefix(err.Error(), "cloud.Attach: x: no such machine") {
			t.Errorf("Attach: %v", err)
		}
		s, err := b.Start(t.Context(), sandbox.Spec{ID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		c.fail = []error{failure(sandbox.Unavailable)}
		if s, err = b.Attach(t.Context(), "x", 1); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		// The cloud is no Remover, so its instance is found and stopped; one that is not there is removed already.
		for _, id := range []sandbox.ID{"x", "y"} {
			if err := b.Remove(t.Context(), id, backends.AnyEpoch, 0); err != nil {
				t.Errorf("Remove: %v", err)
			}
		}
		wantCalls(t, c, "Attach", "Start", "Attach", "Attach", "Attach", "Stop", "Attach")
	})
}

func TestDecode(t *testing.T) {
	type config struct {
		Path  string        `koanf:"path"`
		Wait  time.Duration `koanf:"wait"`
		Count int           `koanf:"count"`
	}
	var c config
	err := backends.Decode(map[string]any{"path": "/x", "wait": "3s", "count": "7"}, &c)
	if want := (config{"/x", 3 * time.Second, 7}); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	for _, values := range []map[string]any{{"paht": "/x"}, {"wait": "soon"}, {"count": "many"}} {
		if err := backends.Decode(values, &c); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%v: %v", values, err)
		}
	}
}
